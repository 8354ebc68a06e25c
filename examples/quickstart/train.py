"""Train a few classifiers on scikit-learn's wine data and log each as a run.

python train.py --model forest --max-depth 4
python train.py --all
"""

from __future__ import annotations

import argparse

from sklearn.datasets import load_wine
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mlgit

GRID = [
    ("logistic", {"C": 0.1}),
    ("logistic", {"C": 1.0}),
    ("forest", {"n_estimators": 50, "max_depth": 2}),
    ("forest", {"n_estimators": 200, "max_depth": 6}),
    ("boosting", {"learning_rate": 0.1, "max_depth": 2}),
]


def build(name: str, params: dict[str, float]) -> object:
    """The model of a name."""
    if name == "logistic":
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500, **params))
    if name == "forest":
        return RandomForestClassifier(random_state=0, **params)
    return GradientBoostingClassifier(random_state=0, n_estimators=60, **params)


def train(name: str, params: dict[str, float]) -> float:
    """Train one model as one run, and return its accuracy on data that it has not seen."""
    X, y = load_wine(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.4, random_state=0, stratify=y
    )
    shown = "-".join([name, *(f"{k}={v}" for k, v in params.items())])
    with mlgit.start_run(run_name=shown):
        mlgit.log_params({"model": name, **params})
        mlgit.set_tag("dataset", "wine")
        model = build(name, params)
        model.fit(X_train, y_train)
        if hasattr(model, "staged_predict_proba"):
            for step, probabilities in enumerate(model.staged_predict_proba(X_test)):
                mlgit.log_metric("val_loss", log_loss(y_test, probabilities), step=step)
        else:
            mlgit.log_metric("val_loss", log_loss(y_test, model.predict_proba(X_test)))
        predicted = model.predict(X_test)
        accuracy = accuracy_score(y_test, predicted)
        mlgit.log_metrics(
            {"val_accuracy": accuracy, "val_f1": f1_score(y_test, predicted, average="macro")}
        )
        mlgit.log_dict(
            {"confusion": confusion_matrix(y_test, predicted).tolist()}, "confusion.json"
        )
    return float(accuracy)


def main() -> None:
    """Train one model, or all of the grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=sorted({name for name, _ in GRID}), default="forest")
    parser.add_argument("--max-depth", type=int, default=4)
    parser.add_argument("--all", action="store_true", help="train the whole grid")
    arguments = parser.parse_args()
    mlgit.set_experiment("wine")
    if arguments.all:
        for name, params in GRID:
            print(f"{name:<9} {params}: accuracy {train(name, params):.4f}")
    else:
        params = {} if arguments.model == "logistic" else {"max_depth": arguments.max_depth}
        print(f"accuracy {train(arguments.model, params):.4f}")


if __name__ == "__main__":
    main()
