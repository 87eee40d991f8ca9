import contextlib

import keras as keras3
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tests.helpers import binary_data, small_vae
from tfvae import VAE, likelihoods, networks, objectives, posteriors

tfd, tfpl, layers = tfp.distributions, tfp.layers, tf_keras.layers


def own_networks(latent_size=2, posterior=None):
    """What a user brings: plain tf_keras models that end in stock tfp.layers."""
    encoder = tf_keras.Sequential([
        layers.InputLayer((6, 5, 1)),
        layers.Flatten(),
        layers.Dense(tfpl.IndependentNormal.params_size(latent_size)),
        posterior or tfpl.IndependentNormal(latent_size),
    ])  # fmt: skip
    decoder = tf_keras.Sequential(
        [layers.InputLayer((latent_size,)), layers.Dense(30), tfpl.IndependentBernoulli((6, 5, 1))]
    )
    return encoder, decoder


def test_parts_are_tfp_layers_and_distributions():
    for posterior, layer in ((posteriors.Normal(), tfpl.IndependentNormal),
                             (posteriors.FullNormal(), tfpl.MultivariateNormalTriL)):  # fmt: skip
        vae = small_vae(posterior=posterior)
        assert isinstance(vae, tf_keras.Model)
        assert isinstance(vae.encoder.layers[-1], layer)
        assert vae.encoder.layers[-1].activity_regularizer is vae.regularizer
    x = binary_data(4)
    q = vae.encode(x)
    assert isinstance(q, tfd.MultivariateNormalTriL) and q.batch_shape == [4] and q.event_shape == [3]
    p = vae.decode(tf.zeros([4, 3]))
    assert isinstance(p.distribution, tfd.Bernoulli) and p.event_shape == [6, 5, 1]
    assert vae.decode(tf.zeros([2, 4, 3])).batch_shape == [2, 4]
    assert vae(x).event_shape == [6, 5, 1]
    assert vae.prior.event_shape == [3]
    np.testing.assert_allclose(vae.prior.log_prob(tf.zeros([3])), -1.5 * np.log(2 * np.pi), rtol=1e-6)


def test_decode_of_several_axes_equals_decode_of_rows():
    vae = small_vae()
    z, x = tf.random.normal([2, 4, 3]), binary_data(4)
    rows = tf.stack([vae.decode(z[i]).log_prob(x) for i in range(2)])
    np.testing.assert_allclose(vae.decode(z).log_prob(tf.stack([x, x])), rows, rtol=1e-5)
    np.testing.assert_allclose(vae.log_likelihood(tf.constant(x), z), rows, rtol=1e-5)


def test_own_keras_networks_with_stock_layers_train_and_count_the_kl_once():
    vae = VAE(*own_networks())
    vae.compile(tf_keras.optimizers.Adam(0.01), steps_per_execution=2)
    x = binary_data(50)
    loss = vae.fit(x, batch_size=10, epochs=20, verbose=0).history["loss"]
    assert loss[-1] < loss[0]
    terms = vae.evaluate(x, verbose=0, return_dict=True)
    q = vae.encode(x)
    kl = 0.5 * tf.reduce_sum(q.mean() ** 2 + q.variance() - tf.math.log(q.variance()) - 1, axis=-1)
    np.testing.assert_allclose(terms["rate"], tf.reduce_mean(kl), rtol=1e-5)
    np.testing.assert_allclose(terms["loss"], terms["rate"] + terms["distortion"], rtol=1e-5)


def test_stock_full_covariance_posterior_trains():
    encoder = tf_keras.Sequential(
        [layers.InputLayer((6, 5, 1)), layers.Flatten(), layers.Dense(5), tfpl.MultivariateNormalTriL(2)]
    )
    vae = VAE(encoder, own_networks()[1])
    vae.compile()
    assert np.isfinite(vae.fit(binary_data(20), verbose=0).history["loss"][0])


def test_tfps_own_regularizer_is_refused():
    prior = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
    posterior = tfpl.IndependentNormal(2, activity_regularizer=tfpl.KLDivergenceRegularizer(prior))
    with pytest.raises(ValueError, match="KLDivergenceRegularizer.*counts the KL twice"):
        VAE(*own_networks(posterior=posterior))


def test_networks_of_the_wrong_kind_are_refused():
    encoder, decoder = own_networks()
    with pytest.raises(ValueError, match="encoder: received keras.*tf_keras"):
        VAE(keras3.Sequential([keras3.layers.Dense(2)]), decoder)
    with pytest.raises(ValueError, match="encoder: received a model of unknown input shape"):
        VAE(tf_keras.Sequential([layers.Dense(4), tfpl.IndependentNormal(2)]), decoder)
    with pytest.raises(ValueError, match="decoder: expected a model that ends in a tfp.layers"):
        VAE(encoder, tf_keras.Sequential([layers.InputLayer((2,)), layers.Dense(30)]))


def test_predict_gives_means_every_time_the_same():
    vae = small_vae()
    vae.compile()
    x = binary_data(7)
    first, second = vae.predict(x, verbose=0), vae.predict(x, batch_size=3, verbose=0)
    np.testing.assert_allclose(first, second, rtol=1e-5)
    np.testing.assert_allclose(first, vae.decode(vae.encode(x).mean()).mean(), rtol=1e-5)
    assert first.shape == x.shape and np.all((first > 0) & (first < 1))


def test_keras_saving_is_refused_and_weights_are_saved(tmp_path):
    vae, other = small_vae(), small_vae(seed=1)
    with pytest.raises(NotImplementedError, match="export_saved_model"):
        vae.save(tmp_path / "model.keras")
    x = binary_data(7)
    other.encoder.set_weights([w + 1.0 for w in other.encoder.get_weights()])
    for name in ("vae.weights.h5", "vae_in_tensorflow_format"):
        vae.save_weights(str(tmp_path / name))
        fresh = small_vae()
        fresh.set_weights([w + 1.0 for w in fresh.get_weights()])
        fresh.load_weights(str(tmp_path / name))
        np.testing.assert_array_equal(fresh.encode(x).mean(), vae.encode(x).mean())


def test_results_do_not_depend_on_the_batch_size():
    vae, x = small_vae(), binary_data(107)
    results = []
    for batch_size, jit, steps in ((1, False, 1), (25, True, 1), (107, True, 3), (32, False, 4)):
        vae.compile(jit_compile=jit, steps_per_execution=steps)
        results.append(list(vae.evaluate(x, batch_size=batch_size, verbose=0, return_dict=True).values()))
    np.testing.assert_allclose(results, [results[0]] * 4, rtol=2e-6)


def test_user_weights_of_rows_count():
    vae = small_vae()
    vae.compile()
    x = binary_data(6)
    weights = np.array([2.0, 0, 1, 0, 0, 1])
    weighted = vae.evaluate(x, x, sample_weight=weights, verbose=0, return_dict=True)
    each = [
        vae.evaluate(x[: i + 1], batch_size=10, verbose=0, return_dict=True)["distortion"] * (i + 1) for i in range(6)
    ]
    each = np.diff([0.0, *each])
    np.testing.assert_allclose(weighted["distortion"], np.average(each, weights=weights), rtol=1e-4)


@pytest.mark.parametrize("jit", [False, True])
def test_one_trace_whatever_the_batches(jit):
    vae, x = small_vae(posterior=posteriors.FullNormal()), binary_data(53)
    vae.compile(jit_compile=jit, steps_per_execution=4)
    for _ in range(2):
        vae.fit(x, batch_size=10, epochs=2, verbose=0)
    assert vae.train_function._program.experimental_get_tracing_count() == 1
    assert int(vae.steps) == 24


def test_tensorboards_axis_counts_optimizer_steps(tmp_path):
    vae, x = small_vae(), binary_data(50)
    vae.compile(jit_compile=False, steps_per_execution=3)
    board = tf_keras.callbacks.TensorBoard(str(tmp_path), update_freq=1, write_steps_per_second=True)
    vae.fit(x, batch_size=10, epochs=2, verbose=0, callbacks=[board])
    steps = []
    for path in (tmp_path / "train").glob("*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            steps += [event.step for value in event.summary.value if value.tag == "batch_loss"]
    # Each epoch of 5 steps runs as 3 and 2.
    assert steps == [3, 5, 8, 10]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)])
def test_half_precision_networks_train_with_float32_distributions(policy):
    vae, x = small_vae(precision=policy), binary_data(40)
    vae.compile(tf_keras.optimizers.Adam(0.01), steps_per_execution=2)
    q = vae.encode(x)
    assert vae.encoder.layers[-2].compute_dtype == policy.removeprefix("mixed_")
    assert q.dtype == tf.float32 and vae.decode(q.mean()).log_prob(x).dtype == tf.float32
    loss = vae.fit(x, batch_size=10, epochs=15, verbose=0).history["loss"]
    assert np.isfinite(loss).all() and loss[-1] < loss[0]
    full = small_vae()
    full.compile(tf_keras.optimizers.Adam(0.01), steps_per_execution=2)
    np.testing.assert_allclose(loss, full.fit(x, batch_size=10, epochs=15, verbose=0).history["loss"], rtol=0.02)


def test_jit_is_chosen_by_network_and_replicas(two_replicas):
    assert small_vae().use_jit("auto") is True
    convolutional = small_vae(network=networks.Convolutional(filters=(4,), dense=8))
    assert convolutional.use_jit("auto") is bool(tf.config.list_logical_devices("GPU"))
    with two_replicas.scope():
        vae = small_vae()
    assert vae.use_jit("auto") is False
    with two_replicas.scope(), pytest.raises(ValueError, match="jit_compile: received True"):
        vae.compile(jit_compile=True)
    with pytest.raises(ValueError, match="jit_compile: received 'yes'"):
        small_vae().compile(jit_compile="yes")


def test_a_loss_that_is_not_finite_names_its_step():
    x = binary_data(40)
    x[25] = np.nan
    for jit, steps in ((False, 1), (True, 4)):
        vae = small_vae()
        vae.compile(jit_compile=jit, steps_per_execution=steps)
        vae.fit(x, batch_size=10, shuffle=False, verbose=0)
        assert int(vae.first_bad_step) == 2


def test_a_subclass_with_its_own_step_is_called():
    class Own(VAE):
        def train_step(self, data):
            return {"loss": tf.constant(42.0)}

    vae = Own(*own_networks())
    vae.compile()
    assert vae.fit(binary_data(4), verbose=0).history["loss"] == [42.0]


def test_fit_takes_datasets_of_unknown_size_and_validation_data():
    vae, x = small_vae(), binary_data(45)
    vae.compile()  # Keras wants to know the number of steps where several are made at once
    stream = tf.data.Dataset.from_generator(lambda: (x[i : i + 10] for i in range(0, 45, 10)),
                                            output_signature=tf.TensorSpec([None, 6, 5, 1]))  # fmt: skip
    history = vae.fit(stream, epochs=2, validation_data=(x,), verbose=0).history
    assert int(vae.steps) == 10 and {"val_elbo", "elbo"} <= history.keys()
    result = vae.train_on_batch(x[:10], return_dict=True)
    assert np.isfinite(result["loss"]) and int(vae.steps) == 11


@pytest.mark.parametrize(
    "likelihood",
    [
        likelihoods.Bernoulli(),
        likelihoods.Gaussian(),
        pytest.param(likelihoods.GaussianIdentity(), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("network", [networks.MLP(hidden=(8,)), networks.Convolutional(filters=(4, 6), dense=8)])
@pytest.mark.parametrize("item_shape", [(7,), (5, 9), (7, 5, 3), (1, 1, 1)])
def test_any_shape_trains(item_shape, network, likelihood):
    vae, x = small_vae(item_shape, network=network, likelihood=likelihood), binary_data(12, item_shape)
    vae.compile(tf_keras.optimizers.Adam(0.01), jit_compile=False, objective=objectives.SGVB_B(num_samples=20))
    loss = vae.fit(x, batch_size=5, epochs=6, verbose=0).history["loss"]
    assert np.isfinite(loss).all() and loss[-1] < loss[0]
    assert vae.predict(x, verbose=0).shape == x.shape


def test_a_full_covariance_with_zero_corners_equals_the_diagonal():
    x = binary_data(9)
    diagonal, full = small_vae(), small_vae(posterior=posteriors.FullNormal())
    *_, (kernel, bias) = [layer.get_weights() for layer in diagonal.encoder.layers if layer.get_weights()][:2]
    wide, wide_bias = np.zeros((8, 9), np.float32), np.zeros(9, np.float32)
    # The diagonal of fill_triangular(a) for 3 are a[3], a[4], a[0].
    for source, target in enumerate((0, 1, 2, 6, 7, 3)):
        wide[:, target], wide_bias[target] = kernel[:, source], bias[source]
    dense = [layer for layer in full.encoder.layers if isinstance(layer, layers.Dense)]
    dense[0].set_weights(
        [layer for layer in diagonal.encoder.layers if isinstance(layer, layers.Dense)][0].get_weights()
    )
    dense[1].set_weights([wide, wide_bias])
    full.decoder.set_weights(diagonal.decoder.get_weights())
    results = []
    for vae in (diagonal, full):
        vae.compile()
        results.append(list(vae.evaluate(x, verbose=0, return_dict=True).values()))
    np.testing.assert_allclose(*results, rtol=1e-5)


def test_objective_needs_the_regularizer_in_place():
    vae = small_vae()
    vae.encoder.layers[-1].activity_regularizer = None
    vae.compile(objective=objectives.SGVB_B())
    with pytest.raises(ValueError, match="KLRegularizer"):
        vae.fit(binary_data(4), verbose=0)


def with_layer(layer):
    """An encoder with `layer` inside, and its decoder."""
    encoder = tf_keras.Sequential([
        layers.InputLayer((6, 5, 1)), layers.Flatten(), layer, layers.Dense(4), tfpl.IndependentNormal(2),
    ])  # fmt: skip
    return encoder, own_networks()[1]


@pytest.mark.parametrize("arguments", [{"run_eagerly": True}, {"jit_compile": False}, {"steps_per_execution": 3}])
def test_layers_know_when_they_train(arguments):
    normalization = layers.BatchNormalization(momentum=0.0)
    vae, x = VAE(*with_layer(normalization)), binary_data(26)
    vae.compile(**arguments)
    vae.fit(x, batch_size=13, shuffle=False, verbose=0)
    np.testing.assert_allclose(normalization.moving_mean, x[13:].reshape(13, -1).mean(axis=0), atol=1e-6)
    before = normalization.moving_mean.numpy()
    vae.evaluate(x, verbose=0)
    vae.predict(x, verbose=0)
    np.testing.assert_array_equal(normalization.moving_mean, before)


def test_dropout_drops_in_training_only():
    vae, x = VAE(*with_layer(layers.Dropout(0.9))), np.ones((200, 6, 5, 1), np.float32)
    vae.compile(tf_keras.optimizers.SGD(0.0))
    trained = vae.fit(x, batch_size=200, verbose=0).history["rate"][0]
    evaluated = [vae.evaluate(x, verbose=0, return_dict=True)["rate"] for _ in range(2)]
    assert evaluated[0] == evaluated[1] and abs(trained - evaluated[0]) > 0.01 * evaluated[0]


@pytest.mark.parametrize("replicated", [False, True])
def test_the_users_own_weight_decay_is_in_the_loss_once(replicated, two_replicas):
    with two_replicas.scope() if replicated else contextlib.nullcontext():
        decayed = layers.Dense(3, kernel_regularizer=tf_keras.regularizers.L2(1.0))
        vae = VAE(*with_layer(decayed))
        vae.compile(tf_keras.optimizers.SGD(0.1), jit_compile=False)
    before, penalty = decayed.get_weights()[0], float(np.sum(decayed.get_weights()[0] ** 2))
    x = np.zeros((20, 6, 5, 1), np.float32)  # so that the penalty alone moves this kernel
    terms = vae.fit(x, batch_size=20, verbose=0).history
    np.testing.assert_allclose(terms["loss"][0] + terms["elbo"][0], penalty, rtol=1e-5)
    np.testing.assert_allclose(decayed.get_weights()[0], before * (1 - 2 * 0.1), rtol=1e-5)


def test_labels_are_left_out_even_where_xla_could_not_take_them():
    vae, x = small_vae(), binary_data(20)
    vae.compile(jit_compile=True)
    labelled = tf.data.Dataset.from_tensor_slices((x, [b"a"] * 20)).batch(10)
    assert np.isfinite(vae.fit(labelled, verbose=0).history["loss"][0])


def test_summary_and_weights_need_no_call_first(tmp_path, capsys):
    small_vae().summary()
    assert "encoder" in capsys.readouterr().out


@pytest.mark.parametrize("posterior", [posteriors.IndependentNormal(2), posteriors.MultivariateNormalTriL(2)])
def test_a_standard_normal_by_another_name_is_the_same_prior(posterior):
    size = 4 if isinstance(posterior, tfpl.IndependentNormal) else 5
    encoder = tf_keras.Sequential([layers.InputLayer((30,)), layers.Dense(size), posterior])
    results = []
    for prior in (None, tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))):
        posterior.activity_regularizer = None
        vae = VAE(encoder, own_networks()[1], prior)
        results.append(vae.regularizer(vae.encoder(binary_data(5, (30,)))))
    np.testing.assert_allclose(*results, rtol=1e-5)


def test_distributions_in_half_precision_are_refused():
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        with pytest.raises(ValueError, match="computes in bfloat16, expected dtype='float32'"):
            VAE(*own_networks())
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")


def test_padding_repeats_the_rows_of_the_batch():
    normalization = layers.BatchNormalization(momentum=0.0)
    vae, x = VAE(*with_layer(normalization)), binary_data(23)
    vae.compile(jit_compile=False)
    vae.fit(x, batch_size=13, shuffle=False, verbose=0)
    seen = x[13 + np.arange(13) % 10]  # the ten rows of the last batch, three of them twice
    np.testing.assert_allclose(normalization.moving_mean, seen.reshape(13, -1).mean(axis=0), atol=1e-6)
