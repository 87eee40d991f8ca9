"""Disentanglement of a trained model: do single latents stand for the known factors of the data?"""

from typing import Any

from tfvae.data import DataSet, Split
from tfvae.evaluation import disentanglement_metrics as metrics
from tfvae.evaluation.common import NotApplicable, encode_split
from tfvae.vae import VAE


def disentanglement(
    vae: VAE, dataset: DataSet, split: Split, *, seed: int = 0, max_examples: int = 3_000, batch_size: int = 500
) -> dict[str, Any]:
    """The metrics of `tfvae.evaluation.disentanglement_metrics` on posterior means, as Locatello et al. 2019 take them.

    Args:
      vae: the model.
      dataset: of the split; its factors must be known: the source `shapes`, or the key `factors` of an NPZ file.
      split: the examples.
      seed: of the votes, the halves and the forests, and of draws where the mean has no closed form.
      max_examples: the first ones of the split, so that it takes seconds. Below about a thousand, factors of many
        values have few examples each, which lowers SAP and DCI.
      batch_size: examples at once; results do not depend on it.

    Raises:
      NotApplicable: where no factors are known, or none varies. Labels alone are no factors: classes of digits say
        nothing of how the pictures of one class differ.

    Returns:
      `mig`, `sap`, `dci_disentanglement`, `dci_completeness`, `dci_informativeness`, `factor_vae`, `modularity`, all
      in [0, 1]; `factor_vae_chance`, what `factor_vae` is of a code without information; `mutual_information`, nats,
      the name of each factor -> I(z_j; factor) of each latent j; `num_examples`, `method`.
    """
    if not dataset.factor_names:
        raise NotApplicable(
            f"the factors of {dataset.name} are not known; those of the source shapes are, and those of an NPZ file "
            "with the key 'factors'"
        )
    codes = encode_split(vae, split, seed=seed, max_examples=max_examples, batch_size=batch_size)
    assert codes.labels is not None  # data with factors are labelled
    factors = dataset.factors(codes.labels)
    num_varying = int((factors.min(axis=0) < factors.max(axis=0)).sum())
    if not num_varying:
        raise NotApplicable(f"no factor varies among the {len(factors)} examples of the {split.name} split")
    dci = metrics.dci(codes.mean, factors, seed=seed)
    information = metrics.mutual_information(codes.mean, factors)
    return {
        "mig": metrics.mutual_information_gap(codes.mean, factors),
        "sap": metrics.separated_attribute_predictability(codes.mean, factors, seed=seed),
        **{f"dci_{name}": value for name, value in dci.items()},
        "factor_vae": metrics.factor_vae_score(codes.mean, factors, seed=seed),
        "factor_vae_chance": 1.0 / num_varying,
        "modularity": metrics.modularity(codes.mean, factors),
        "mutual_information": dict(zip(dataset.factor_names, information.T.tolist(), strict=True)),
        "num_examples": len(factors),
        "method": (
            f"Posterior means of {len(factors)} examples of the {split.name} split against {num_varying} factors that "
            "vary. MIG, modularity and mutual information with 20 bins of one width for each latent, corrected for "
            "chance; SAP by thresholds, DCI by a random forest, both by balanced accuracy on examples held out, scaled "
            f"from chance; FactorVAE score by 5,000 votes of 64 examples, held out too; seed {seed}."
        ),
    }
