"""Real-time augmentation: ``flow`` on arrays, ``flow_from_directory`` on folders of classes."""

import os

import numpy as np
from keras.layers import Conv2D, Dense, GlobalAveragePooling2D, Input
from keras.models import Sequential
from keras.utils import save_img, to_categorical
from tensorflow.keras.preprocessing.image import ImageDataGenerator

import fastfeed.keras.methods


def build(classes):
    model = Sequential()
    model.add(Input((16, 16, 3)))
    model.add(Conv2D(4, (3, 3), activation="relu"))
    model.add(GlobalAveragePooling2D())
    model.add(Dense(classes, activation="softmax"))
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model


# Pictures in memory.
x_train = np.random.randint(0, 255, (50, 16, 16, 3)).astype("float32")
y_train = to_categorical(np.arange(50) % 10, 10)
datagen = ImageDataGenerator(
    featurewise_center=True,
    featurewise_std_normalization=True,
    rotation_range=20,
    width_shift_range=0.2,
    height_shift_range=0.2,
    horizontal_flip=True,
)
datagen.fit(x_train)
model = build(10)
history = model.fit_generator(
    datagen.flow(x_train, y_train, batch_size=8),
    steps_per_epoch=len(x_train) / 8,
    epochs=2,
    verbose=0,
    workers=2,
    use_multiprocessing=True,
    validation_data=(x_train[:10], y_train[:10]),
)
print("flow", history.params["steps"], sorted(history.history))

# Pictures in folders.
for split, count in (("train", 12), ("validation", 6)):
    for number in range(count):
        for shade, animal in ((60, "cats"), (200, "dogs")):
            os.makedirs(f"data/{split}/{animal}", exist_ok=True)
            save_img(f"data/{split}/{animal}/{number}.jpg", np.full((20, 20, 3), shade + number))

train_datagen = ImageDataGenerator(rescale=1.0 / 255, shear_range=0.2, zoom_range=0.2)
test_datagen = ImageDataGenerator(rescale=1.0 / 255)
train_generator = train_datagen.flow_from_directory(
    "data/train", target_size=(16, 16), batch_size=4, class_mode="categorical"
)
validation_generator = test_datagen.flow_from_directory(
    "data/validation", target_size=(16, 16), batch_size=4, class_mode="categorical"
)
model = build(2)
history = model.fit_generator(
    train_generator,
    samples_per_epoch=train_generator.samples,
    nb_epoch=2,
    verbose=0,
    validation_data=validation_generator,
    nb_val_samples=validation_generator.samples,
    class_weight={0: 1.0, 1: 2.0},
)
print("directory", history.params["steps"], len(history.history["val_accuracy"]))

test_generator = test_datagen.flow_from_directory(
    "data/validation", target_size=(16, 16), batch_size=5, class_mode=None, shuffle=False
)
predictions = model.predict_generator(test_generator, workers=2)
print("predicted", predictions.shape, len(test_generator.filenames))
