"""Frey faces with the paper's network: 560-200-10, tanh; a Gaussian decoder whose means pass a sigmoid.

Origin: Kingma & Welling 2013, section 5. The frames are not downloaded: put `frey_faces.npz` (key `images`,
uint8 [1965, 28, 20, 1]) where you stand, or in the folder that TFVAE_DATA_DIR names.
Command: python tools/train.py --config=configs/frey_faces.py --workdir=runs/frey_faces
Expected: validation ELBO above 1,000 nats, test ELBO 256 nats, log p(x) 392 nats (K = 100, standard error 45).
The test frames are the end of the video, with expressions that occur nowhere before it, hence the fall and the
large error; a random split would score higher, because neighbouring frames are nearly equal.
Measured: 2026-11-21, 40 seconds on two CPU cores.
"""

from tfvae import config, likelihoods, networks, objectives, posteriors, priors


def get_config() -> config.Config:
    return config.Config(
        name="frey_faces",
        data=config.DataConfig(
            # Consecutive frames of a video: a random split would leak, so what is held out comes last.
            source="npz:frey_faces.npz",
            item_shape=(28, 20, 1),
            split_order="sequential",
            dequantize=True,
        ),
        model=config.ModelConfig(
            latent_size=10,
            posterior=posteriors.Normal(),
            prior=priors.StandardNormal(),
            likelihood=likelihoods.Gaussian(mean="sigmoid", scale_floor=0.01),
            network=networks.MLP(hidden=(200,)),
        ),
        objective=objectives.SGVB_B(),
        training=config.TrainingConfig(num_epochs=200, batch_size=100, pictures_every=50),
    )
