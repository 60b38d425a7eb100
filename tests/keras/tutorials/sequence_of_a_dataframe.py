"""A Sequence over the rows of a DataFrame that shuffles itself, in worker processes."""

import keras
import numpy as np
import pandas as pd
from keras.layers import Dense, Input
from keras.models import Sequential

import fastfeed.keras.methods


class DataGenerator(keras.utils.Sequence):
    "Generates data for Keras"

    def __init__(self, df, batch_size=8, n_classes=3, shuffle=True):
        "Initialization"
        self.df = df
        self.batch_size = batch_size
        self.n_classes = n_classes
        self.shuffle = shuffle
        self.on_epoch_end()

    def __len__(self):
        "Denotes the number of batches per epoch"
        return int(np.ceil(len(self.df) / self.batch_size))

    def __getitem__(self, index):
        "Generate one batch of data"
        indexes = self.indexes[index * self.batch_size : (index + 1) * self.batch_size]
        rows = self.df.iloc[indexes]
        X = rows[["row", "a", "b"]].values
        return X, keras.utils.to_categorical(rows["label"], num_classes=self.n_classes)

    def on_epoch_end(self):
        "Updates indexes after each epoch"
        self.indexes = np.arange(len(self.df))
        if self.shuffle:
            np.random.shuffle(self.indexes)


df = pd.DataFrame(np.random.rand(50, 2), columns=["a", "b"])
df["row"] = np.arange(len(df))
df["label"] = np.arange(len(df)) % 3
partition = {"train": df.iloc[:38], "validation": df.iloc[38:]}

training_generator = DataGenerator(partition["train"])
validation_generator = DataGenerator(partition["validation"], shuffle=False)

model = Sequential()
model.add(Input((3,)))
model.add(Dense(16, activation="relu"))
model.add(Dense(3, activation="softmax"))
model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])

history = model.fit_generator(
    generator=training_generator,
    validation_data=validation_generator,
    epochs=3,
    verbose=0,
    use_multiprocessing=True,
    workers=1,
)
print("steps", history.params["steps"], "epochs", len(history.history["val_accuracy"]))
predictions = model.predict_generator(validation_generator)
print("predicted", predictions.shape)
expected = model.predict(partition["validation"][["row", "a", "b"]].values, verbose=0)
print("in order", np.allclose(predictions, expected, atol=1e-6))
