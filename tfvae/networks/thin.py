"""Convolutions to few channels, as decoders end in them."""

from typing import Any

import tensorflow as tf
from tf_keras import layers


class ThinConv2D(layers.Conv2D):
    """`Conv2D` for few output channels, which trains faster on a CPU; weights are the same, numbers to rounding.

    oneDNN is slow to few output channels and fast from few input channels. In training on a CPU, in float32, each tap
    of the kernel is therefore one column of a matrix product, and the shifted columns are added; the gradient of the
    kernel is that of the transposed convolution, whose channels are many. The columns, padded and cut, take about twice
    the memory of the inputs at most. Elsewhere, and for what has no such form (strides, dilations, groups, even
    kernels, more taps than input channels), it is a `Conv2D`.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """x `[rows, height, width, channels]` to `[rows, height, width, filters]`."""
        if training is not True or not self._has_taps(inputs):
            return super().call(inputs)
        outputs = _convolution(inputs, tf.convert_to_tensor(self.kernel))
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def _has_taps(self, inputs: tf.Tensor) -> bool:
        height, width, channels, filters = self.kernel.shape
        plain = self.padding == "same" and self.data_format == "channels_last" and self.groups == 1
        plain = plain and {*self.strides, *self.dilation_rate} == {1}
        # More columns than inputs would take more memory; one tap is a product in `Conv2D` already.
        few = height % 2 and width % 2 and height * width > 1 and height * width * filters <= channels
        on_gpu = bool(tf.config.list_logical_devices("GPU"))
        return bool(plain and few and inputs.shape.rank == 4 and inputs.dtype == tf.float32 and not on_gpu)


@tf.custom_gradient
def _convolution(x: tf.Tensor, kernel: tf.Tensor) -> Any:
    """The convolution of stride 1, padded with zeros to the size of x, by an odd kernel; and its gradient.

    Args:
      x: `[rows, height, width, channels]`.
      kernel: `[taps down, taps across, channels, filters]`.
    """
    down, across, channels, filters = kernel.shape
    height, width = tf.shape(x)[1], tf.shape(x)[2]
    # y_ij[p] = x[p] K_ij, all taps in one product
    columns = tf.reshape(tf.transpose(kernel, [2, 0, 1, 3]), [channels, down * across * filters])
    y = tf.reshape(tf.reshape(x, [-1, channels]) @ columns, [-1, height, width, down * across * filters])
    y = tf.pad(y, [[0, 0], [down // 2] * 2, [across // 2] * 2, [0, 0]])
    # out[p] = sum_ij y_ij[p + (i, j) - center]
    taps = [
        y[:, i : i + height, j : j + width, (i * across + j) * filters : (i * across + j + 1) * filters]
        for i in range(down)
        for j in range(across)
    ]
    outputs = tf.ensure_shape(tf.add_n(taps), [*x.shape[:3], filters])

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        own = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.shape(x), filter=kernel, out_backprop=upstream, strides=[1] * 4, padding="SAME"
        )
        # dK_ij = sum_p x[p + (i, j) - center] up[p]: mirrored, the sum of a convolution from `upstream` to x
        mirrored = tf.raw_ops.Conv2DBackpropFilter(
            input=upstream, filter_sizes=[down, across, filters, channels], out_backprop=x, strides=[1] * 4,
            padding="SAME",
        )  # fmt: skip
        return own, tf.transpose(mirrored[::-1, ::-1], [0, 1, 3, 2])

    return outputs, gradient
