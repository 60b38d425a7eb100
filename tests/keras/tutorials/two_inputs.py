"""Two inputs by name, two outputs by name, from generators of dictionaries: Keras 2's names."""

import numpy as np
from keras.callbacks import EarlyStopping, LambdaCallback
from keras.layers import Concatenate, Dense, Embedding, Flatten, Input
from keras.models import Model

import fastfeed.keras.methods


def text_and_numbers(batch_size, seed):
    rng = np.random.RandomState(seed)
    while True:
        words = rng.randint(0, 50, (batch_size, 7))
        numbers = rng.rand(batch_size, 3)
        total = numbers.sum(axis=1)
        yield (
            {"words": words, "numbers": numbers},
            {"total": total, "large": (total > 1.5).astype(int)},
        )


words = Input((7,), dtype="int32", name="words")
numbers = Input((3,), name="numbers")
merged = Concatenate()([Flatten()(Embedding(50, 4)(words)), numbers])
hidden = Dense(8, activation="relu")(merged)
total = Dense(1, name="total")(hidden)
large = Dense(1, activation="sigmoid", name="large")(hidden)
model = Model(inputs=[words, numbers], outputs={"total": total, "large": large})
model.compile(
    optimizer="rmsprop",
    loss={"total": "mse", "large": "binary_crossentropy"},
    loss_weights={"total": 1.0, "large": 0.2},
)

batches = []
history = model.fit_generator(
    text_and_numbers(8, seed=1),
    steps_per_epoch=6,
    epochs=3,
    verbose=0,
    callbacks=[
        EarlyStopping(monitor="val_loss", patience=10),
        LambdaCallback(on_batch_end=lambda batch, logs: batches.append(batch)),
    ],
    validation_data=text_and_numbers(8, seed=2),
    validation_steps=2,
    max_queue_size=4,
)
print("epochs", len(history.history["val_loss"]), "batches", len(batches))
print("evaluated", len(model.evaluate_generator(text_and_numbers(8, seed=3), steps=4)) > 1)
predictions = model.predict_generator(text_and_numbers(8, seed=4), steps=3)
print("predicted", {name: value.shape for name, value in sorted(predictions.items())})
