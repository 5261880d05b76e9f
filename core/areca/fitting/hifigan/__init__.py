"""HiFi-GAN (Kong et al. 2020, arXiv 2010.05646): its generator of audio from frames, discriminators and training."""
