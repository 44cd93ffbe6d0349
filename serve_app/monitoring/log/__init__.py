"""The prediction log: what was asked and answered, kept in parts of a few minutes.

In a server `heard` hears of each answer, and `writer` writes those of half a second as `line`s of
columns into a `part`; `keeper` puts finished parts to their `place`. Commands read them by
`reading`.
"""
