"""How good a latent is: held out, beside baselines, with intervals."""
