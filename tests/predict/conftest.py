import pytest
from predictor_toys import ToyMano, ToyPerson

from handlib import predict


@pytest.fixture(scope="session")
def predictor():
    return predict.Predictor(ToyMano(), device="cpu", batch=4)


@pytest.fixture(scope="session")
def person_predictor():
    return predict.Predictor(ToyPerson(), device="cpu", batch=3)
