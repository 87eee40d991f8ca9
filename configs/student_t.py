"""Location-scale: a Student's t posterior with a t prior.

Origin: Kingma & Welling 2013, section 2.4.
Command: python tools/train.py --config=configs/student_t.py
On MNIST: python tools/train.py --config=configs/student_t.py:mnist
"""

from tfvae import config, posteriors, priors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("student_t", data, beside=__file__)
    base.model.posterior = posteriors.StudentT()
    base.model.prior = priors.StandardStudentT()
    return base
