//! A bad release, for tests and the demo only: stands in `purser`'s place in an image of its own, and runs the real program with
//! something wrong around it. What is wrong is said in the file [`FAULT`] of the image: `database 150` or `fraud 80`, which
//! answer so many milliseconds late, `declines 20`, where every 20th charge is to a card that declines, or `unready`, where no
//! gateway ever is.

mod declines;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, fs, io, thread};

use anyhow::{Context as _, Result, bail};

/// What is wrong with this release.
const FAULT: &str = "/etc/purser-fault";
/// The program that is shipped.
const PURSER: &str = "/usr/local/bin/purser-real";
const SECRETS: &str = "/etc/purser/secrets";
/// Where secrets are as the slowed program is to find them.
const OWN_SECRETS: &str = "/tmp/secrets";
const DATABASE: &str = "127.0.0.1:15432";
const FRAUD: (&str, &str) = ("0.0.0.0:8081", "127.0.0.1:18081");
const PROXY: &str = "127.0.0.1:18082";

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--delay", listen, to, ms] => return delay(listen, to, Duration::from_millis(ms.parse()?)),
        ["--decline", listen, every] => return declines::proxy(listen, every.parse()?),
        _ => {}
    }
    let fault = fs::read_to_string(FAULT)?;
    let (what, much) = fault.trim().split_once(' ').unwrap_or((fault.trim(), ""));
    let mut purser = Command::new(PURSER);
    purser.args(&arguments);
    match (what, arguments.first().map(String::as_str)) {
        ("database", Some("gateway" | "processor")) => {
            copy(Path::new(SECRETS), Path::new(OWN_SECRETS))?;
            let file = Path::new(OWN_SECRETS).join("database-url");
            let url = fs::read_to_string(&file)?;
            let (before, host, after) = parts(url.trim()).context("database-url has no host")?;
            beside(&["--delay", DATABASE, host, much])?;
            // Copied with its rights, and nobody may write to a secret.
            fs::remove_file(&file)?;
            fs::write(&file, format!("{before}{DATABASE}{after}"))?;
            purser.args(["--secrets", OWN_SECRETS]);
        }
        ("fraud", Some("fraud")) => {
            beside(&["--delay", FRAUD.0, FRAUD.1, much])?;
            purser.args(["--fraud-port", "18081"]);
        }
        // A gateway takes payments to their end, too.
        ("declines", Some("gateway" | "processor")) => {
            beside(&["--decline", PROXY, much])?;
            purser.env("http_proxy", format!("http://{PROXY}"));
        }
        // Nobody looks there.
        ("unready", Some("gateway")) => {
            purser.args(["--admin-port", "19090"]);
        }
        // Migrations and settings are those of the release that is shipped.
        _ => {}
    }
    // In this process's place, so that signals and the end are the real program's.
    bail!("{PURSER} cannot be run: {}", purser.exec())
}

/// What comes before the host and port of a URL, these, and what comes after.
fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let begin = url.find('@')? + 1;
    let end = begin + url[begin..].find('/')?;
    Some((&url[..begin], &url[begin..end], &url[end..]))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (name, path) = (entry.as_ref().map(fs::DirEntry::file_name), entry.as_ref().map(fs::DirEntry::path));
        let (Ok(name), Ok(path)) = (name, path) else { continue };
        // Kubernetes keeps the files in a folder whose name begins with dots, and links to them.
        if name.to_string_lossy().starts_with("..") {
            continue;
        }
        if path.is_dir() { copy(&path, &to.join(name))? } else { fs::copy(&path, to.join(name)).map(drop)? }
    }
    Ok(())
}

/// Another process of this program, which stands in the way.
fn beside(arguments: &[&str]) -> io::Result<()> {
    Command::new(env::current_exe()?).args(arguments).spawn().map(drop)
}

fn delay(listen: &str, to: &str, delay: Duration) -> Result<()> {
    for client in TcpListener::bind(listen)?.incoming() {
        let (Ok(client), to) = (client, to.to_owned()) else { continue };
        thread::spawn(move || {
            let Ok(server) = TcpStream::connect(&to) else { return };
            let (Ok(from_server), Ok(to_client)) = (server.try_clone(), client.try_clone()) else { return };
            thread::spawn(move || pass(from_server, to_client, Duration::ZERO));
            pass(client, server, delay);
        });
    }
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let mut part = [0; 16 * 1024];
    while let Ok(length) = from.read(&mut part) {
        thread::sleep(delay);
        if length == 0 || to.write_all(&part[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
