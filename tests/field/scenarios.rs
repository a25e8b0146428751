//! Shipped scenarios of place, time and meters, played as `hil-sim run` plays them: the judge knows
//! the true second and the true place of every line the meter told.

use std::path::Path;

use hil_sim::judge::Verdict;
use hil_sim::run::run;
use hil_sim::scenario::Scenario;
use rstest::rstest;

use super::bench::agent;

/// Plays a shipped scenario; `None`, aloud, where this build can't.
async fn play(name: &str) -> Option<Verdict> {
    if cfg!(not(feature = "testhooks")) {
        eprintln!("skipped: scenario {name} (needs --features testhooks)");
        return None;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("hil-sim/scenarios").join(name);
    let scenario = Scenario::load(&file).unwrap();
    let mut lines = Vec::new();
    let verdict = run(&scenario, &agent(), false, &mut |line| lines.push(line.to_owned())).await;
    let verdict = verdict.unwrap();
    assert!(verdict.is_clean(), "\n{}\n{verdict}", lines.join("\n"));
    Some(verdict)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_isnt_honest_gives_no_place_and_costs_no_gallon() {
    let Some(verdict) = play("fix_spoilt.toml").await else { return };
    assert!(verdict.balance.delivered > 10, "\n{verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_board_in_1970_with_a_receiver_in_1980_sends_nothing_until_the_date_is_right() {
    let Some(verdict) = play("cold_start.toml").await else { return };
    assert!(verdict.balance.delivered > 5 && verdict.balance.held == 0, "\n{verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_boots_the_one_that_never_knew_the_time_is_held_and_the_others_are_true() {
    let Some(verdict) = play("three_boots.toml").await else { return };
    assert!(verdict.balance.held >= 2 && verdict.balance.delivered >= 4, "\n{verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_steps_in_mid_job_moves_no_record() {
    let Some(verdict) = play("clock_steps.toml").await else { return };
    assert!(verdict.balance.delivered > 8 && verdict.balance.held == 0, "\n{verdict}");
}

/// Every shipped profile, spoken by a meter that was written from its vendor's document alone,
/// with the faults that belong to it.
#[rstest]
#[case::rig_line("meter_rig_line.toml")]
#[case::pulse_text("meter_pulse_text.toml")]
#[case::teledyne_4250("meter_teledyne_4250.toml")]
#[case::tuf_2000f("meter_tuf_2000f.toml")]
#[case::adam_4080("meter_adam_4080.toml")]
#[case::tuf_2000m("meter_tuf_2000m.toml")]
#[case::badger_m2000("meter_badger_m2000.toml")]
#[case::fluidwell_e112("meter_fluidwell_e112.toml")]
#[case::aw_lake_edge("meter_aw_lake_edge.toml")]
#[case::dynasonics_tfx("meter_dynasonics_tfx.toml")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_meter_of_any_profile_metered_is_at_the_server(#[case] name: &str) {
    let Some(verdict) = play(name).await else { return };
    assert!(verdict.balance.delivered > 5, "\n{verdict}");
    assert!(verdict.balance.delivered_gal > 1.0, "\n{verdict}");
}
