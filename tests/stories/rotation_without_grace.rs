//! Rotation where the operator has closed the grace (`refresh_grace = 0s`).

use futures_util::future::join_all;

use crate::harness::{Person, stories, test_env::TestEnv};

/// Requests that arrive together read the clock before one of them rotates. Such an early reading once counted as a
/// repeat within the grace: of eight refreshes at once, two got the successor.
async fn of_refreshes_at_once_at_most_one_gets_the_successor(env: TestEnv) {
    let process = env.serves(&[("refresh_grace", "0s")]).ready().await;
    let ada = Person::registers(&process.site, "ada").await;
    for round in 0..40 {
        let tokens = ada.logs_in().await;
        let answers = join_all((0..8).map(|_| ada.refreshes(&tokens))).await;
        let granted = answers.iter().filter(|answer| answer.status == 200).count();
        assert!(granted <= 1, "round {round}: {granted} clients got a successor");
    }
}

stories![of_refreshes_at_once_at_most_one_gets_the_successor];
