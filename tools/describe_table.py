"""Says how each column of a table becomes numbers, and the kinds that `likelihoods.Table` could have for them.

  python tools/describe_table.py --source=csv:patients.csv
  python tools/describe_table.py --source=table:wine

Prints the two fields of a config, to be copied and changed: `data.encoding` (see tfvae/data/tables.py) and
`model.likelihood.columns`. A count that is to stay one gets the entry `["name"]` and the kind `poisson`.
"""

from absl import flags

from tfvae import cli

flags.DEFINE_string("source", None, "csv:<file> or table:<name>", required=True)


def main() -> None:
    from tfvae.config import DataConfig
    from tfvae.data import load
    from tfvae.data.tables import description

    print(description(load(DataConfig(source=cli.FLAGS.source, scale="none")).encoding))


if __name__ == "__main__":
    cli.run(main)
