//! Waking up after an outage: by itself within `retry.connect_max`, and at once where an
//! address comes up. The agent lives in a network of its own there, since news of links is
//! the kernel's. An interface that was up all along brings no news, and is none.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hil_sim::bench::{Bench, BenchOptions};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::bench::{SOON, agent, options, options_with};
use crate::delivery::{all_delivered, sprayed_and_went_offline};
use crate::look::{live, number, seconds, until_baseline, until_live};

/// How long a server that is reached again may take to see the first record, beyond the wait
/// that was under way.
const TO_SEND: Duration = Duration::from_secs(5);

/// A network without a way out, gone with this.
struct Network {
    name: String,
}

impl Network {
    /// `None` where this user, or this machine, can't have one.
    fn new() -> Option<Self> {
        let network = Self { name: format!("spraylog-{}", std::process::id()) };
        ip(&["netns", "add", &network.name]).then_some(())?;
        network.ip(&["link", "set", "lo", "up"]).then_some(network)
    }

    fn ip(&self, args: &[&str]) -> bool {
        ip(&[&["-n", &self.name], args].concat())
    }

    fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// The agent's binary, in there.
    fn agent_in(&self, dir: &Path) -> PathBuf {
        let (script, network) = (dir.join("spraylog-in-there"), self.path());
        let line = format!("exec nsenter --net={} {} \"$@\"", network.display(), agent().display());
        std::fs::write(&script, format!("#!/bin/sh\n{line}\n")).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        script
    }

    /// Lets `addr` be reached in there, as it is out here.
    fn let_in(&self, addr: SocketAddr) {
        let network = File::open(self.path()).unwrap();
        // A socket stays in the network that its thread was in when it was made.
        let bind = move || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            TcpListener::bind(addr).unwrap()
        };
        let inside = std::thread::spawn(bind).join().unwrap();
        inside.set_nonblocking(true).unwrap();
        let inside = tokio::net::TcpListener::from_std(inside).unwrap();
        tokio::spawn(async move {
            while let Ok((mut from, _)) = inside.accept().await {
                tokio::spawn(async move {
                    let mut to = tokio::net::TcpStream::connect(addr).await?;
                    tokio::io::copy_bidirectional(&mut from, &mut to).await
                });
            }
        });
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        ip(&["netns", "delete", &self.name]);
    }
}

fn ip(args: &[&str]) -> bool {
    Command::new("ip").args(args).output().is_ok_and(|done| done.status.success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_back_gets_the_backlog_within_connect_max_though_no_link_changed() {
    let options = options_with("[retry]\ninitial = \"3s\"\nconnect_max = \"3s\"\nmax = \"3s\"");
    let mut bench = sprayed_and_went_offline(options, 3).await;
    let before = bench.records().len();
    // Long enough for a ladder without an end to have left three seconds behind.
    seconds(12.0).await;
    bench.server().come_back().await.unwrap();
    let back = Instant::now();
    bench.wait_for_records(before + 1, SOON).await.unwrap();
    assert!(back.elapsed() < Duration::from_secs(3) + TO_SEND, "{:?}", back.elapsed());
    all_delivered(bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_comes_up_ends_the_wait_at_once() {
    let Some(network) = Network::new() else {
        eprintln!(
            "skipped: an_address_that_comes_up_ends_the_wait_at_once (needs root and ip netns)"
        );
        return;
    };
    let scripts = tempfile::tempdir().unwrap();
    let hardly_ever = "[retry]\ninitial = \"10m\"\nconnect_max = \"10m\"\nmax = \"10m\"";
    let patient: toml::Table = hardly_ever.parse().unwrap();
    let mut setup = BenchOptions { agent: network.agent_in(scripts.path()), ..options() };
    hil_sim::agent::merge(&mut setup.config, &patient);
    let mut bench = Bench::start(setup).await.unwrap();
    until_baseline(&bench).await;
    bench.spray(4.0);

    // The wait is drawn; one in thirty is too short to tell anything by, so that the agent
    // is started until it isn't.
    let next_try = |said: &serde_json::Value| number(said, "/server/delivery/next_try_s");
    loop {
        until_live(&bench, "the server to be out of reach", |said| {
            said["server"]["delivery"]["trouble"]
                .as_str()
                .is_some_and(|t| t.contains("no connection"))
        })
        .await;
        if next_try(&live(&bench)) >= 20 {
            break;
        }
        bench.stop_agent().await.unwrap();
        bench.start_agent().unwrap();
        until_baseline(&bench).await;
    }

    // The server is there, and nobody tells the agent.
    let addr = bench.server().base_url().trim_start_matches("http://").parse().unwrap();
    network.let_in(addr);
    seconds(3.0).await;
    assert_eq!(bench.records().len(), 0);

    assert!(network.ip(&["link", "add", "cell0", "type", "veth", "peer", "name", "tower0"]));
    assert!(network.ip(&["address", "add", "192.0.2.7/24", "dev", "cell0"]));
    assert!(network.ip(&["link", "set", "cell0", "up"]));
    assert!(network.ip(&["link", "set", "tower0", "up"]));
    let up = Instant::now();
    bench.wait_for_records(1, SOON).await.unwrap();
    assert!(up.elapsed() < TO_SEND, "{:?}", up.elapsed());
    all_delivered(bench).await;
}
