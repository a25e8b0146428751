//! The binary's commands and exit codes. The agent is a script that does nothing: what
//! matters is that a run without records does not balance.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn hil_sim(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hil-sim"));
    command.env("FAKE", "sleeper").args(args).output().unwrap()
}

fn fake_agent() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake-agent")
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_run_in_which_nothing_is_delivered_does_not_balance() {
    let dir = tempfile::tempdir().unwrap();
    let scenario = dir.path().join("short.toml");
    let timeline = "name = \"short\"\nduration_s = 3\ndrain_s = 1\n\
        [[at]]\nt = 1\ndo = \"start_spraying\"\ngpm = 3.0\n";
    std::fs::write(&scenario, timeline).unwrap();
    let agent = fake_agent();
    let output = hil_sim(&[
        "run",
        "--scenario",
        &scenario.to_string_lossy(),
        "--agent",
        &agent.to_string_lossy(),
    ]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}\n{}", complaint(&output));
    assert!(said.contains("start spraying 3 gpm") && said.contains("network up"), "{said}");
    assert!(said.contains("the agent never heard the meter"), "{said}");
    assert!(said.contains("it does NOT balance"), "{said}");
    // A run that doesn't balance leaves the agent's directory behind; not this one.
    for line in complaint(&output).lines() {
        if let Some(kept) = line.strip_prefix("kept ") {
            std::fs::remove_dir_all(kept).unwrap();
        }
    }
}

#[test]
fn what_is_wrong_is_said_in_a_line_and_by_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = dir.path().join("wrong.toml");
    std::fs::write(&wrong, "name = \"wrong\"\nduration_s = 3\n[meter]\nkay = 3\n").unwrap();
    let wrong = wrong.to_string_lossy();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/demo.toml");
    let demo = demo.to_string_lossy();
    for (args, code, said) in [
        (vec!["run"], 64, "--scenario"),
        (vec!["run", "--scenario", "/nowhere.toml"], 66, "/nowhere.toml"),
        (vec!["run", "--scenario", &wrong], 65, "line 4: unknown field `kay`"),
        (vec!["run", "--scenario", &demo, "--agent", "/nowhere"], 69, "/nowhere"),
        (vec!["replay", "--gps", "/nowhere.log", "--link-dir", "."], 66, "/nowhere.log"),
    ] {
        let output = hil_sim(&args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", complaint(&output));
        assert!(complaint(&output).contains(said), "{args:?}: {}", complaint(&output));
        if code != 64 {
            assert!(complaint(&output).lines().count() <= 2, "{}", complaint(&output));
        }
    }
}

#[test]
fn the_rig_alone_plays_its_part_and_leaves_the_rest_out_aloud() {
    let dir = tempfile::tempdir().unwrap();
    let scenario = dir.path().join("rig.toml");
    let timeline = "name = \"rig\"\nduration_s = 1\n\
        [[at]]\nt = 0\ndo = \"start_spraying\"\ngpm = 60.0\n\
        [[at]]\nt = 0.5\ndo = \"cut_network\"\n";
    std::fs::write(&scenario, timeline).unwrap();
    let ports = dir.path().join("ports");
    let output = hil_sim(&[
        "rig",
        "--scenario",
        &scenario.to_string_lossy(),
        "--link-dir",
        &ports.to_string_lossy(),
    ]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", complaint(&output));
    assert!(said.contains("left out") && said.contains("cut network"), "{said}");
    assert!(said.contains("counts, 1.0") || said.contains("counts, 0.9"), "{said}");
    assert_eq!(std::fs::read_dir(&ports).unwrap().count(), 0, "the names go with the rig");
}
