import pytest
from predictor_toys import ToyMano

from handlib import predict


@pytest.fixture(scope="session")
def predictor():
    return predict.Predictor(ToyMano(), device="cpu", batch=4)
