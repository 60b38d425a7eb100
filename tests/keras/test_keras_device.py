"""device="cuda" through Keras: on a simulated GPU, the same weights as fit's, bit for bit."""

import gc

import keras
import keras_device
import numpy as np
import pytest
from keras_models import assert_same_weights, stopper
from keras_own import Dataset
from keras_sources import BACKEND, WORKERS, Batches, Weighted, batch, endless
from simulated_gpu import Gpu

import fastfeed
from fastfeed import _core
from fastfeed.devices import arrays
from fastfeed.errors import ArgumentError, DeviceError, DeviceUnavailable
from fastfeed.keras import adapter, evaluate_generator, fit_generator, host, predict_generator
from fastfeed.keras.weights import ClassWeights, of_keras

CLASS_WEIGHT = {0: 0.25, 2: 3.0}
QUIET = {"verbose": 0, "shuffle": False, "data_wait": False}
on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's own ways")
ILLEGAL_ADDRESS = 700


@pytest.fixture(scope="module")
def driver():
    return Gpu()


@pytest.fixture
def gpu(driver, request):
    """A GPU of which nothing is in use, before and after the test."""
    driver.reset(seed=sum(request.node.name.encode()))
    driver.open()
    yield driver
    keras.backend.clear_session()
    gc.collect()
    driver.close()
    assert driver.violations() == []
    assert (_core.devices_alive(), _core.segments_alive()) == (0, 0)
    assert driver.live() == 0


@pytest.fixture
def framework(gpu, monkeypatch):
    """Keras's backend, as if it had that GPU. Batches must stay what they are while it has them."""
    framework = keras_device.put_in(monkeypatch, gpu, BACKEND)
    yield framework
    keras.backend.clear_session()
    gc.collect()
    assert framework.changed == 0


@pytest.fixture
def options(framework):
    """What a call on this backend needs, for batches that the upload thread brings."""
    if BACKEND == "tensorflow":  # else it copies them itself
        return {"device": "cuda", "device_synchronise": True}
    return {"device": "cuda"}


# -- training --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WORKERS)
def test_weights_and_history_equal_those_of_fit(way, make_model, options, framework, gpu):
    ours, keras_own = make_model(["accuracy"]), make_model(["accuracy"])
    expected = keras_own.fit(Dataset(Batches()), epochs=3, shuffle=False, verbose=0)
    history = fit_generator(ours, Batches(), epochs=3, **QUIET, **WORKERS[way], **options)
    assert_same_weights(ours, keras_own)
    assert history.history == expected.history
    assert framework.taken >= 60
    assert gpu.calls("cuMemcpyHtoDAsync_v2") >= 30


@pytest.mark.parametrize("way", ["thread", "processes"])
def test_each_batch_once_whether_or_not_the_model_was_built(way, recorder, options):
    for _ in range(2):
        fit_generator(recorder, Batches(30), None, 2, **QUIET, **WORKERS[way], **options)
    assert recorder.trained == [*range(30)] * 4


def test_an_endless_generator_runs_on_over_epochs(recorder, options):
    fit_generator(recorder, endless(), steps_per_epoch=5, epochs=3, verbose=0, **options)
    assert recorder.trained == list(range(15))


@pytest.mark.skipif(BACKEND == "torch", reason="takes one step per execution only")
def test_several_steps_per_execution(make_model, options):
    ours, keras_own = (make_model(steps_per_execution=4) for _ in range(2))
    keras_own.fit(Dataset(Batches()), epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, Batches(), epochs=2, **QUIET, **options)
    assert_same_weights(ours, keras_own)


@pytest.mark.skipif(BACKEND != "jax", reason="only Keras on JAX reads a batch ahead, on a GPU")
def test_jax_puts_each_batch_on_its_device_one_ahead(make_model, options, reads_ahead):
    ours, keras_own = make_model(), make_model()
    keras_own.fit(Dataset(Batches()), epochs=3, shuffle=False, verbose=0)
    fit_generator(ours, Batches(), epochs=3, **QUIET, **options)
    assert_same_weights(ours, keras_own)


@pytest.mark.skipif(BACKEND != "jax", reason="one of JAX's clients for GPUs tells no stream")
@pytest.mark.parametrize("tells", [True, False])
def test_where_jax_tells_no_stream_next_waits_itself(tells, framework, monkeypatch):
    called = []

    class Lease:
        def __getattr__(self, name):
            return lambda: called.append(name)

    monkeypatch.setattr(arrays, "jax_tells_streams", lambda ordinal: tells)
    arrays.hand_over_device("jax", 0, synchronise=False)(Lease(), "no arrays")
    assert called == (["used_anywhere"] if tells else ["wait", "used_anywhere"])


def test_class_weight_and_sample_weight(make_model, options):
    source = Weighted()

    def multiplied():
        for x, y, weight in (source[i] for i in range(len(source))):
            by_class = np.array([CLASS_WEIGHT.get(int(c), 1.0) for c in y.argmax(-1)], "float32")
            yield x, y, weight * by_class

    ours, keras_own = make_model(), make_model()
    keras_own.fit(Dataset(list(multiplied())), epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, source, epochs=2, class_weight=CLASS_WEIGHT, **QUIET, **options)
    assert_same_weights(ours, keras_own)


@pytest.fixture
def reads_ahead(monkeypatch):
    """Have Keras on JAX read one batch ahead of the step, as it does on a GPU."""
    if BACKEND == "jax":
        import jax

        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def test_stable_addresses_where_batches_are_peeked_at(make_model, options, reads_ahead):
    ours, keras_own = make_model(), make_model()
    keras_own.fit(Dataset(Batches()), epochs=2, shuffle=False, verbose=0)
    fixed = {"stable_addresses": True, "device_queue_size": 3 if BACKEND == "jax" else 2}
    fit_generator(ours, Batches(), epochs=2, **QUIET, **fixed, **options)
    assert_same_weights(ours, keras_own)


def test_validation_evaluation_and_prediction(make_model, options, framework):
    ours, keras_own = make_model(["accuracy"]), make_model(["accuracy"])
    expected = keras_own.fit(
        Dataset(Batches()), validation_data=Dataset(Batches(4)), epochs=2, shuffle=False, verbose=0
    )
    trained = fit_generator(
        ours, Batches(), epochs=2, validation_data=Batches(4), **QUIET, **options
    )
    assert trained.history == expected.history
    assert framework.taken >= 2 * (20 + 8)
    assert evaluate_generator(ours, Batches(4), **options) == keras_own.evaluate(
        Dataset(Batches(4)), verbose=0
    )
    predicted = predict_generator(ours, Batches(4), **options)
    assert type(predicted) is np.ndarray
    np.testing.assert_array_equal(predicted, keras_own.predict(Dataset(Batches(4)), verbose=0))


def test_adapter_of_a_loader_of_ones_own(make_model, options):
    ours, keras_own = make_model(), make_model()
    keras_own.fit(Dataset(Batches()), epochs=2, shuffle=False, verbose=0, class_weight=CLASS_WEIGHT)
    with fastfeed.Loader(Batches(), workers=1, framework=BACKEND, **options) as loader:
        assert loader.device == "cuda:0"
        ours.fit(adapter(loader, CLASS_WEIGHT, ours), epochs=2, verbose=0)
    assert_same_weights(ours, keras_own)


# -- class weights ---------------------------------------------------------------------------------

LABELS = {
    "int": np.array([0, 2, 1, 7, -1, 300]),
    "uint8": np.array([0, 2, 1, 7], "uint8"),
    "column": np.array([[0], [2], [1]]),
    "float": np.array([0.4, 1.6, 2.5, -0.6], "float32"),
    "one_hot": np.eye(8, dtype="float32")[[0, 7, 3]],
    "bool": np.array([True, False]),
    "of each pixel": np.array([[[0], [1]], [[2], [2]]]),
}


@pytest.mark.parametrize("form", LABELS)
def test_class_weights_of_labels_on_a_device_are_those_on_the_host(form):
    weight = {0: 0.25, 2: 3, 7: 0.1}
    on_device = ClassWeights(weight, arrays=of_keras()).of_labels(
        keras.ops.convert_to_tensor(LABELS[form])
    )
    assert keras.ops.is_tensor(on_device)
    on_host = ClassWeights(weight).of_labels(LABELS[form])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(on_device), on_host)
    assert keras.backend.standardize_dtype(on_device.dtype) == "float32"


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_class_weights_never_bring_labels_to_the_host(shape):
    tensors = [
        keras.ops.convert_to_tensor(array)
        for array in (np.eye(3, dtype="float32"), np.array([1.0, 2.0, 4.0]).reshape(shape))
    ]
    weights = ClassWeights({1: 10.0}, arrays=of_keras())
    with pytest.raises(Exception, match=r"to the host|TracerArray|symbolic"):
        keras_device.without_host(np.asarray)(tensors[0])
    found = keras_device.without_host(lambda *y: weights.apply((0, *y))[2])(*tensors)
    assert tuple(found.shape) == shape
    assert keras.ops.convert_to_numpy(found).ravel().tolist() == [1.0, 20.0, 4.0]


# -- what TensorFlow copies itself -----------------------------------------------------------------


@on_tensorflow
@pytest.mark.parametrize("way", WORKERS)
def test_tensorflow_copies_from_page_locked_slots(way, make_model, framework, gpu, monkeypatch):
    keras_device.copy_to_the_cpu(monkeypatch)
    ours, keras_own = make_model(), make_model()
    keras_own.fit(Dataset(Batches()), epochs=2, shuffle=False, verbose=0, class_weight=CLASS_WEIGHT)
    fit_generator(
        ours, Batches(), None, 2, device="cuda", class_weight=CLASS_WEIGHT, **QUIET, **WORKERS[way]
    )
    assert_same_weights(ours, keras_own)
    assert gpu.calls("cuMemHostRegister_v2") >= 1
    assert gpu.calls("cuMemcpyHtoDAsync_v2") == 0


@on_tensorflow
def test_a_data_set_in_host_memory_takes_no_device(framework, make_model, monkeypatch):
    import tensorflow as tf

    keras_device.copy_to_the_cpu(monkeypatch)
    with (
        fastfeed.Loader(Batches(), device="cuda", framework="tensorflow") as loader,
        pytest.raises(ArgumentError, match=r'leave out framework and device.*"tensorflow"'),
    ):
        loader.as_tf_dataset()
    with (
        tf.distribute.OneDeviceStrategy("/CPU:0").scope(),
        pytest.raises(ArgumentError, match=r"divides the batches.*leave out device"),
    ):
        fit_generator(make_model(), Batches(), device="cuda", **QUIET)


@on_tensorflow
def test_tf_keras_takes_no_device(framework):
    tf_keras = pytest.importorskip("tf_keras")
    model = tf_keras.Sequential([tf_keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match=r"leave out device. Received: device='cuda'"):
        fit_generator(model, Batches(), device="cuda", **QUIET)


# -- bad input -------------------------------------------------------------------------------------


def test_keras_that_computes_elsewhere_is_refused(make_model, options, monkeypatch):
    monkeypatch.setattr(host, "own_device", lambda: "cpu")
    with pytest.raises(ArgumentError, match=r'computes on cpu.*leave out device.*device="cuda:0"'):
        fit_generator(make_model(), Batches(), **QUIET, **options)
    monkeypatch.setattr(host, "own_device", lambda: "cuda:1")
    with pytest.raises(ArgumentError, match='write device="cuda:1"'):
        fit_generator(make_model(), Batches(), **QUIET, **options)


def test_own_device_is_where_keras_makes_tensors():
    assert host.own_device() in ("cpu", "cpu:0")


def test_a_backend_without_cuda_is_told_of(gpu, make_model, monkeypatch):
    monkeypatch.setenv("FASTFEED_CUDA_LIBRARY", str(keras_device.LIBRARY))
    with pytest.raises(DeviceUnavailable, match=f"{BACKEND} sees 0 of them"):
        fit_generator(make_model(), Batches(), device="cuda", **QUIET)


def test_no_driver_is_told_of(make_model, monkeypatch, tmp_path):
    monkeypatch.setenv("FASTFEED_CUDA_LIBRARY", str(tmp_path / "none.so"))
    with pytest.raises(DeviceUnavailable, match="No CUDA driver was found"):
        fit_generator(make_model(), Batches(), device="cuda", **QUIET)


def test_an_option_for_devices_without_one(make_model):
    with pytest.raises(ArgumentError, match=r'stable_addresses.*add device="cuda"'):
        fit_generator(make_model(), Batches(), stable_addresses=True, **QUIET)


def test_a_wrong_framework_is_named(framework, gpu):
    other = "torch" if BACKEND != "torch" else "jax"
    with pytest.MonkeyPatch.context() as patched:
        keras_device.put_in(patched, gpu, other)
        with (
            fastfeed.Loader(Batches(), workers=0, framework=other, device="cuda") as loader,
            pytest.raises(ArgumentError, match=f'make the Loader with framework="{BACKEND}"'),
        ):
            adapter(loader)


# -- ends ------------------------------------------------------------------------------------------


def test_an_error_of_the_driver_comes_out_of_fit_and_the_next_fit_works(make_model, options, gpu):
    gpu.fail("cuMemcpyHtoDAsync_v2", 5, ILLEGAL_ADDRESS)
    with pytest.raises(DeviceError, match="cuMemcpyHtoDAsync failed"):
        fit_generator(make_model(), Batches(30), **QUIET, **options)
    gc.collect()
    ours, keras_own = make_model(), make_model()
    keras_own.fit(Dataset(Batches()), shuffle=False, verbose=0)
    fit_generator(ours, Batches(), **QUIET, **options)
    assert_same_weights(ours, keras_own)


def test_training_that_is_stopped_or_broken_off_leaves_nothing(make_model, options):
    stop = stopper(keras)
    fit_generator(make_model(), Batches(30), None, 3, callbacks=[stop(4)], **QUIET, **options)
    with pytest.raises(KeyError, match="broken off"):
        fit_generator(
            make_model(), Batches(30), callbacks=[stop(4, KeyError("broken off"))],
            **QUIET, **options,
        )  # fmt: skip


def test_batches_are_what_they_say():
    """What the tests above lean on."""
    assert [int(batch(number)[0][0, 0]) for number in range(30)] == list(range(30))
