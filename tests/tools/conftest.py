from stand_in.fixtures import (  # noqa: F401 - fixtures are found by their names
    client_folders,
    desk,
    fresh_clients,
    kaggle,
    oldest_client,
    site,
)
