"""A program that speaks a list of sentences with espeak-ng and exits. It needs only the standard library.

espeak-ng keeps hidden state between utterances (the phase of its flutter, its noise), so its output depends on all
earlier utterances. In a new process, equal lists give equal audio. The separate process also keeps GPL code apart.

Input: a JSON object ``{"library": path, "data": path, "sentences": [[text, voice, pitch, words_per_minute], ...]}``.
Output: for each sentence, the sample rate in Hz and the number of samples (little-endian uint32), then int16 samples.
"""

from __future__ import annotations

import ctypes
import json
import struct
import sys

SYNCHRONOUS, DONT_EXIT, UTF8, FROM_START = 2, 0x8000, 1, 1
RATE, PITCH = 1, 3
SEED = 1
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def main() -> int:
    """Speak the sentences of standard input."""
    job = json.load(sys.stdin)
    espeak = ctypes.CDLL(job["library"])
    blocks: list[bytes] = []

    def collect(samples: object, count: int, _events: object) -> int:
        if samples and count > 0:
            blocks.append(ctypes.string_at(samples, 2 * count))  # type: ignore[arg-type]
        return 0

    callback = CALLBACK(collect)  # must live as long as espeak-ng may call it
    sample_rate_hz = espeak.espeak_Initialize(SYNCHRONOUS, 0, job["data"].encode(), DONT_EXIT)
    if sample_rate_hz <= 0:
        sys.exit(f"espeak-ng cannot start with the data in {job['data']}")
    espeak.espeak_SetSynthCallback(callback)
    espeak.espeak_ng_SetRandSeed(ctypes.c_long(SEED))  # by default, espeak-ng seeds itself from the clock
    for text, voice, pitch, words_per_minute in job["sentences"]:
        blocks.clear()
        if espeak.espeak_SetVoiceByName(voice.encode()):
            sys.exit(f"espeak-ng has no voice {voice!r}")
        espeak.espeak_SetParameter(RATE, words_per_minute, 0)
        espeak.espeak_SetParameter(PITCH, pitch, 0)
        content = text.encode()
        if espeak.espeak_Synth(content, len(content) + 1, 0, FROM_START, 0, UTF8, None, None) or not blocks:
            sys.exit(f"espeak-ng cannot say {text!r} with the voice {voice!r}")
        pcm = b"".join(blocks)
        sys.stdout.buffer.write(struct.pack("<II", sample_rate_hz, len(pcm) // 2) + pcm)
    return 0


if __name__ == "__main__":
    sys.exit(main())
