//! The doors that commands come through: the control socket and the data directory, in
//! every way in which a rig's own are missing, shut or somebody else's.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use hil_sim::bench::{Bench, BenchOptions};
use rstest::rstest;
use serde_json::Value;
use toml::Table;

use crate::bench::{SOON, agent, options};
use crate::look::{said, said_json, until};

fn table(toml: &str) -> Table {
    toml.parse().unwrap()
}

fn recorded(status: &Value) -> u64 {
    status["balance"]["recorded"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_socket_that_cannot_be_made_keeps_nothing_from_being_recorded() {
    let mut setup = options();
    setup.start_agent = false;
    let mut bench = Bench::start(setup).await.unwrap();
    let dir = bench.dir().join("run");
    std::fs::write(&dir, "a file where a directory should be").unwrap();
    let socket = dir.join("control.sock");
    bench.write_config(&table(&format!("status.socket = '{}'", socket.display()))).unwrap();
    bench.start_agent().unwrap();
    bench.spray(3.0);
    bench.wait_for_records(3, SOON).await.unwrap();
    let told = bench.agent().log().lines().filter(|l| l.contains("no control socket")).count();
    assert_eq!(told, 1, "{}", bench.agent().log());
    assert!(recorded(&said_json(&bench, &["status", "--json"])) >= 3);
    let text = said(&bench, &["status"]);
    let pid = bench.agent().pid().unwrap();
    assert!(text.contains(&format!("NOT ANSWERING: pid {pid} records")), "{text}");

    std::fs::remove_file(&dir).unwrap();
    until("the door", || socket.exists()).await;
    let text = said(&bench, &["status"]);
    assert!(text.contains("running as bench"), "{text}");
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
}

const USE: [&str; 6] = ["job", "use", "--event", "e1", "--job", "j1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_before_the_first_start_leaves_the_data_directory_to_the_daemon() {
    const DAEMON: u32 = 4711;
    let bench = Bench::start(BenchOptions { start_agent: false, ..options() }).await.unwrap();
    let data = bench.dir().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let files = || std::fs::read_dir(&data).unwrap().map(|e| e.unwrap()).collect::<Vec<_>>();
    let shown = said_json(&bench, &["job", "show", "--json"]);
    assert_eq!(shown["wanted"]["chosen_by"], "fixed", "as configured");
    assert_eq!(shown["in_force"], Value::Null);
    assert!(files().is_empty(), "who asks makes nothing: {:?}", files());

    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    chown(&data, Some(DAEMON), Some(DAEMON)).unwrap();
    said(&bench, &USE);
    assert_eq!(said_json(&bench, &["job", "show", "--json"])["wanted"]["assignment"]["job"], "j1");
    said(&bench, &["status"]);
    assert!(files().len() >= 2, "lock and queue: {:?}", files());
    for file in files() {
        assert_eq!(file.metadata().unwrap().uid(), DAEMON, "{file:?}");
    }
}

#[rstest]
#[case::hangs_up(false, "the daemon broke off")]
#[case::says_nothing(true, "the daemon has not answered in time")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_does_not_answer_is_not_called_stopped(
    #[case] holds: bool,
    #[case] words: &str,
) {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.spray(3.0);
    bench.wait_for_records(2, SOON).await.unwrap();
    bench.stop_spraying();
    bench.settle_and_judge(SOON).await.assert_clean();
    bench.stop_agent().await.unwrap();
    let door = UnixListener::bind(bench.dir().join("control.sock")).unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for caller in door.incoming() {
            held.push(caller.unwrap());
            if !holds {
                held.clear();
            }
        }
    });
    let text = said(&bench, &["status"]);
    assert!(text.contains(&format!("NOT ANSWERING: {words}")), "{text}");
    assert!(text.contains("at JobCloser"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_whose_queue_is_elsewhere_is_shown_and_not_called_stopped() {
    let mut bench = Bench::start(options()).await.unwrap();
    bench.wait_until_ready(SOON).await.unwrap();
    let elsewhere = bench.dir().join("elsewhere");
    bench.write_config(&table(&format!("device.data_dir = '{}'", elsewhere.display()))).unwrap();
    let text = said(&bench, &["status"]);
    assert!(text.contains("running as bench"), "{text}");
    assert!(text.contains(&*elsewhere.to_string_lossy()), "{text}");
    assert!(!text.contains("recorded"), "no zeros that nobody counted: {text}");
    let json = said_json(&bench, &["status", "--json"]);
    assert_eq!((&json["daemon"]["running"], &json["balance"]), (&true.into(), &Value::Null));
    bench.stop().await.unwrap();
}

/// A place where a technician without rights can start the program: its copy, and a
/// configuration whose data directory is the daemon's alone.
struct Stranger(tempfile::TempDir);

impl Stranger {
    const UID: u32 = 4712;

    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(dir.path(), 0o755);
        std::fs::copy(agent(), dir.path().join("spraylog")).unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        mode(&data, 0o750);
        let text = format!(
            "device.data_dir = '{}'\nstatus.socket = '{}'\n",
            data.display(),
            dir.path().join("none.sock").display()
        );
        std::fs::write(dir.path().join("spraylog.toml"), text).unwrap();
        Self(dir)
    }

    fn command(&self, args: &[&str], uid: u32) -> Output {
        // A process that another test starts at this moment may hold the copy open yet.
        loop {
            match self.prepare(args, uid).output() {
                Err(err) if err.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(std::time::Duration::from_millis(50));
                }
                output => return output.unwrap(),
            }
        }
    }

    fn prepare(&self, args: &[&str], uid: u32) -> Command {
        let mut command = Command::new(self.0.path().join("spraylog"));
        command.args(args).arg("--config").arg(self.0.path().join("spraylog.toml"));
        command.uid(uid).gid(uid);
        command
    }
}

#[test]
fn where_systemd_brings_the_credentials_the_originals_are_roots_and_no_error() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can be somebody else");
        return;
    }
    let stranger = Stranger::new();
    // In a directory that only root may enter.
    let original = stranger.0.path().join("data");
    std::fs::write(original.join("email"), "a@b").unwrap();
    std::fs::write(original.join("password"), "secret").unwrap();
    let brought = stranger.0.path().join("brought");
    std::fs::create_dir(&brought).unwrap();
    let sign_in = |env: &[(&str, &Path)]| {
        let mut command = stranger.prepare(&["check"], Stranger::UID);
        command.env("SPRAYLOG_JOBCLOSER__EMAIL_FILE", original.join("email"));
        command.env("SPRAYLOG_JOBCLOSER__PASSWORD_FILE", original.join("password"));
        let checked = command.envs(env.iter().copied()).output().unwrap();
        let text = String::from_utf8(checked.stdout).unwrap();
        text.lines().find(|line| line.starts_with("sign-in")).unwrap().to_owned()
    };
    let told = sign_in(&[("CREDENTIALS_DIRECTORY", &brought)]);
    assert!(told.contains("no credentials"), "{told}");
    let told = sign_in(&[]);
    assert!(told.contains("email: can't be read"), "{told}");
}

#[rstest]
#[case::status(&["status"])]
#[case::a_look_at_the_queue(&["records", "list"])]
#[case::a_look_at_the_job(&["job", "show"])]
#[case::the_lock(&USE)]
fn what_needs_rights_says_so_with_77(
    #[case] args: &[&str],
    // Closed, and one that may be looked into but in which SQLite can't make its own files.
    #[values(0o750, 0o755)] mode: u32,
) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can be somebody else");
        return;
    }
    let stranger = Stranger::new();
    assert!(stranger.command(&USE, 0).status.success());
    let data = stranger.0.path().join("data");
    std::fs::set_permissions(data, std::fs::Permissions::from_mode(mode)).unwrap();
    let refused = stranger.command(args, Stranger::UID);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(77), "{told}");
    assert!(told.contains("use sudo, or join the group spraylog"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}
