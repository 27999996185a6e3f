from hourpass.core.policy import LEEWAY, Policy


def test_a_keys_own_retry_window_replaces_the_general_one():
    policy = Policy(retry_window=60_000)

    assert policy.with_retry_window(0).retry_window == 0
    assert policy.with_retry_window(None) is policy
    assert policy.with_retry_window(60_000) is policy


def test_a_revocation_is_remembered_as_long_as_the_longest_token_could_be_accepted():
    assert Policy(access_token_lifetime=3_600_000).revocation_lifetime == 3_600_000 + LEEWAY
