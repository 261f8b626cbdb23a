# Keras CNN for digits, TPU or GPU or CPU
import math
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import numpy as np
import pandas as pd
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
from sklearn.model_selection import train_test_split

print("Tensorflow version", tf.__version__)
AUTO = tf.data.AUTOTUNE

try:
    tpu = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local")
    strategy = tf.distribute.TPUStrategy(tpu)
except (ValueError, tf.errors.NotFoundError):
    tpu = None
    strategy = tf.distribute.get_strategy()
for gpu in tf.config.list_physical_devices("GPU"):
    tf.config.experimental.set_memory_growth(gpu, True)
print("REPLICAS:", strategy.num_replicas_in_sync)

BATCH = 64 * strategy.num_replicas_in_sync
EPOCHS = 30
SEED = 123
keras.utils.set_random_seed(SEED)

for base in ("/kaggle/input/competitions/digit-recognizer", "/kaggle/input/digit-recognizer"):
    if tf.io.gfile.exists(base):
        break
train = pd.read_csv(base + "/train.csv")
test = pd.read_csv(base + "/test.csv")
Y = train.pop("label").to_numpy()
X = (train.to_numpy() / 255.0).reshape(-1, 28, 28, 1).astype("float32")
X_test = (test.to_numpy() / 255.0).reshape(-1, 28, 28, 1).astype("float32")
X_train, X_val, Y_train, Y_val = train_test_split(X, Y, test_size=0.1, random_state=SEED, stratify=Y)


def dataset(x, y=None, training=False):
    ds = tf.data.Dataset.from_tensor_slices(x if y is None else (x, y))
    if training:
        ds = ds.shuffle(10_000, seed=SEED).repeat()
    return ds.batch(BATCH, drop_remainder=training).prefetch(AUTO)


def build_model():
    inputs = keras.Input((28, 28, 1))
    x = layers.RandomRotation(0.03)(inputs)
    x = layers.RandomTranslation(0.1, 0.1)(x)
    for filters in (32, 64):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            x = layers.BatchNormalization()(x)
        x = layers.MaxPool2D()(x)
        x = layers.Dropout(0.25)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(256, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def schedule(epoch):
    return 1e-3 * 0.5 * (1 + math.cos(math.pi * epoch / EPOCHS))


with strategy.scope():
    model = build_model()
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=1e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
model.summary()
callbacks = [
    keras.callbacks.LearningRateScheduler(schedule),
    keras.callbacks.ModelCheckpoint("best.weights.h5", monitor="val_accuracy", save_best_only=True, save_weights_only=True),
    keras.callbacks.EarlyStopping(monitor="val_loss", patience=8),
]
history = model.fit(
    dataset(X_train, Y_train, training=True),
    validation_data=dataset(X_val, Y_val),
    steps_per_epoch=len(X_train) // BATCH,
    epochs=EPOCHS,
    callbacks=callbacks,
    verbose=2,
)
model.load_weights("best.weights.h5")
print(pd.DataFrame(history.history).tail())

labels = np.argmax(model.predict(dataset(X_test), verbose=0), axis=1)
submission = pd.DataFrame({"ImageId": np.arange(1, len(labels) + 1), "Label": labels})
submission.to_csv("submission.csv", index=False)
