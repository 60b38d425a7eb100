"""The generator over a list of files, 2016: batches in a loop without an end, Keras 1's names."""

import os
import random

import cv2
import numpy as np
from keras.callbacks import ModelCheckpoint
from keras.layers import Conv2D, Dense, Flatten, Input, Lambda
from keras.models import Sequential

import fastfeed.keras.methods

DATA = "photos"
os.makedirs(DATA, exist_ok=True)
lines = []
for i in range(20):
    name = os.path.join(DATA, "frame_%02d.jpg" % i)
    cv2.imwrite(name, np.full((16, 16, 3), i * 12, np.uint8))
    lines.append((name, i / 20.0))
train_samples, validation_samples = lines[:14], lines[14:]


def generator(samples, batch_size=4):
    num_samples = len(samples)
    while 1:
        random.shuffle(samples)
        for offset in range(0, num_samples, batch_size):
            images = []
            angles = []
            for name, angle in samples[offset : offset + batch_size]:
                images.append(cv2.imread(name))
                angles.append(angle)
            X_train = np.array(images)
            y_train = np.array(angles)
            yield X_train, y_train


model = Sequential()
model.add(Input((16, 16, 3)))
model.add(Lambda(lambda x: x / 127.5 - 1.0))
model.add(Conv2D(4, 3, activation="relu"))
model.add(Flatten())
model.add(Dense(1))
model.compile(loss="mse", optimizer="adam")

history_object = model.fit_generator(
    generator(train_samples),
    samples_per_epoch=len(train_samples),
    validation_data=generator(validation_samples),
    nb_val_samples=len(validation_samples),
    nb_epoch=3,
    verbose=0,
    callbacks=[ModelCheckpoint("best.keras", save_best_only=True)],
)

print(sorted(history_object.history.keys()), len(history_object.history["val_loss"]))
print("steps", history_object.params["steps"], os.path.exists("best.keras"))
score = model.evaluate_generator(generator(validation_samples), val_samples=6)
print("score", np.isfinite(score))
