"""Building blocks for datasets that make their own recordings.

| module | use it for |
|---|---|
| `areca.fitting.recordings.options` | checks of options (light: no torch) |
| `areca.fitting.recordings.debian` | recordings in Debian packages |
| `areca.fitting.recordings.samples` | trimming silence, setting the level, joining and cutting clips |
| `areca.fitting.recordings.splits` | splits by hash |
| `areca.fitting.recordings.batches` | writing recordings in batches that a resumed build reuses |
| `areca.fitting.recordings.left_out` | counting what is left out, by reason (light) |
"""
