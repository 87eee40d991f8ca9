"""Installs tfvae. TensorFlow, tf-keras and TFP move together: their ranges are what was tested."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "tfvae" / "__init__.py").read_text()).group(1)

TEST = ["pytest>=8", "pytest-xdist>=3.7"]
SERVING = ["tensorflow-serving-api>=2.21,<2.22"]
# Only the conversion to ONNX needs packages, one of them to compare numbers: LiteRT's converter is TensorFlow's own.
CONVERT = ["tf2onnx>=1.17", "onnx>=1.17", "onnxruntime>=1.20"]
# Without the library for checksums a damaged record could pass for another.
BEAM = ["apache-beam>=2.70,<3", "google-crc32c>=1.5"]
RUNTIMES = ["ai-edge-litert>=2.0", "openvino>=2025.4"]
DEV = [*TEST, *SERVING, *CONVERT, *BEAM, *RUNTIMES, "import-linter>=2.1", "mypy>=1.11", "ruff>=0.9"]

setup(
    name="tfvae",
    version=VERSION,
    description="Variational autoencoders for TensorFlow: trained, evaluated, monitored and served",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    author="The tfvae authors",
    license="Apache-2.0",
    packages=find_packages(include=["tfvae", "tfvae.*"]),
    python_requires=">=3.10,<3.14",
    install_requires=[
        # The triple.
        "tensorflow>=2.21,<2.22",
        "tf-keras>=2.21,<2.22",
        "tensorflow-probability>=0.25,<0.26",
        # TFP 0.25 imports distutils, which Python 3.12 leaves to setuptools.
        "setuptools>=65",
        "absl-py>=2.0",
        # tensorflow-datasets imports importlib_resources without declaring it.
        "importlib_resources>=6.0",
        "matplotlib>=3.8",
        "ml_collections>=1.0,<2",
        "numpy>=1.26",
        "pillow>=10",
        "scikit-learn>=1.4",
        "scipy>=1.11",
        "tensorboard>=2.20,<2.22",
        "tensorflow-datasets>=4.9.7,<5",
        "tqdm>=4.66",
    ],
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "serving": SERVING,
        "convert": CONVERT,
        "beam": BEAM,
        "test": TEST,
        "dev": DEV,
    },
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
