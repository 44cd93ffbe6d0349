"""`python -m training new`: from a CSV file to a trained model, with files that a person can read.

reading.py opens the file, summary.py looks at all of its rows, guess.py says what they mean,
leaks.py which columns give the target away, write.py and the texts next to it make the files.
"""
