"""How texts become numbers in the pipelines of the tests."""

from sklearn.preprocessing import OneHotEncoder


def one_hot() -> OneHotEncoder:
    """A dense encoder to which unseen texts are nothing."""
    return OneHotEncoder(handle_unknown="ignore", sparse_output=False)
