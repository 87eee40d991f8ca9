"""MNIST with a convolutional encoder and decoder, otherwise as `mnist`."""

from tfvae import config, networks


def get_config() -> config.Config:
    base = config.from_file("mnist.py", beside=__file__)
    base.name = "mnist_conv"
    base.model.network = networks.Convolutional(filters=(32, 64), dense=128)
    base.training.num_epochs = 10
    base.training.batch_size = 128
    return base
