"""`python -m training new`: from a CSV file to a trained model, with files that a person can read.

source.py opens the file, summary.py looks at all of its rows, guess.py says what a column means
(number.py, date.py and text.py those of one kind), target.py what is asked of the model, leaks.py
which columns give the target away, write.py and the texts next to it make the files.
"""
