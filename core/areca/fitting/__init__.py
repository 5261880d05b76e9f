"""Building blocks for a component's `fit`: sampling, k-means, a training loop, resume and interruption.

| module | use it for |
|---|---|
| `areca.fitting.sampling` | recordings of the training split, and features of them |
| `areca.fitting.kmeans` | centroids |
| `areca.fitting.residual` | residual vector quantization |
| `areca.fitting.loop` | a training loop with a schedule, which resumes exactly |
| `areca.fitting.adversarial` | training a generator of audio against discriminators |
| `areca.fitting.hifigan` | HiFi-GAN: its generator, discriminators and training |
| `areca.fitting.voices` | the recordings of a voice |
| `areca.fitting.batches` | batches of utterances of similar length |
| `areca.fitting.resume` | saving and restoring a training state; caching computed chunks |
| `areca.fitting.blocks` | residual dilated convolutions |
| `areca.fitting.durations` | a predictor of the durations of deduplicated units |
| `areca.fitting.codec_vocoder` | vocoders that turn units into a codec's tokens in the voice of a prompt |
| `areca.fitting.unfinished` | sealing files, so that a resumed build uses only intact ones |
| `areca.fitting.interrupt` | stopping on Ctrl-C and SIGTERM without losing work |
| `areca.fitting.recordings` | datasets that make their own recordings |
| `areca.fitting.text_lm` | backbones that are trained from the text of the run's corpus |
"""
