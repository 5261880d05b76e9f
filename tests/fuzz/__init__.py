"""``make fuzz``: damaged and hostile inputs by the thousand, each of which must end in an answer or in one clear error.

An input is a folder of files and some arguments. A target draws inputs from a seed (Hypothesis for what has structure,
byte mutations of valid seed files for what has not) and hands each to areca, inside a worker process. A worker that
crashes or hangs is replaced. These are failures: an exception that is not areca's own, a traceback on the screen, an
error without a message or with one of pages, a crash, more than 20 s, more than 2 GB, and a file that is written,
changed or left where it should not be.

python -m tests.fuzz                                  # 10,000 inputs in at most 20 minutes
python -m tests.fuzz --target audio --inputs 500      # some of one kind
python -m tests.fuzz --replay FOLDER                  # a failing input once more
"""
