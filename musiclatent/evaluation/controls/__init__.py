"""Music drawn from controls, judged by analysers that know nothing of its sampler."""
