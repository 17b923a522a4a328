//! Real servers for tests: started on a free port of the loopback, gone with the test process however it ends.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Runs a server until its standard input closes, which happens when the test process is gone, even by SIGKILL.
const WATCHDOG: &str = r#"
signal=$1 folder=$2; shift 2
"$@" >"$folder/log" 2>&1 &
pid=$!
read -r keep
kill -s "$signal" "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
[ "$keep" = keep ] || rm -rf "$folder"
"#;

const START_LIMIT: Duration = Duration::from_secs(60);

/// A server that can be stopped and started again on the same port with the same data.
pub struct Server {
    folder: PathBuf,
    port: u16,
    signal: &'static str,
    command: Vec<String>,
    watchdog: Option<Child>,
}

impl Server {
    fn new(what: &str, signal: &'static str) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("purser-test-{what}-")).tempdir().unwrap().keep();
        Self { folder, port: free_port(), signal, command: Vec::new(), watchdog: None }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn start(&mut self) {
        assert!(self.watchdog.is_none(), "started twice");
        // Its own process group: what ends the tests from a terminal or a time limit must not keep it from cleaning up.
        let mut command = Command::new("sh");
        command.process_group(0);
        command.args(["-c", WATCHDOG, "sh", self.signal]).arg(&self.folder).args(&self.command);
        self.watchdog = Some(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begin.elapsed() < START_LIMIT, "{} did not start: {}", self.command[0], self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it at once, as a crash would, and keeps its data.
    pub fn stop(&mut self) {
        self.end("keep\n");
    }

    fn end(&mut self, word: &str) {
        if let Some(mut watchdog) = self.watchdog.take() {
            let mut stdin = watchdog.stdin.take().unwrap();
            stdin.write_all(word.as_bytes()).unwrap();
            drop(stdin);
            watchdog.wait().unwrap();
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end("\n");
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub const USER: &str = "purser";
pub const PASSWORD: &str = "test-password";

/// A PostgreSQL with one superuser, [`USER`]. Not durable: tests that need a crash stop the server, not the machine.
pub fn postgres() -> Server {
    postgres_with(&[])
}

/// The same, with settings of its own.
pub fn postgres_with(own: &[(&str, &str)]) -> Server {
    let mut server = Server::new("postgres", "QUIT");
    let data = server.folder.join("data");
    let bin = postgres_bin();
    let as_user = unprivileged(&server.folder);
    let password = server.folder.join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let mut initdb = as_user.clone();
    initdb.push(bin.join("initdb").display().to_string());
    initdb.extend(
        ["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--username", USER].map(String::from),
    );
    initdb.extend([format!("--pwfile={}", password.display()), format!("--pgdata={}", data.display())]);
    succeed(&initdb);
    server.serve_postgres(as_user, &data, own);
    server
}

/// A physical replica of a PostgreSQL that runs at this port, with the settings that one has of its own.
pub fn standby_of(primary: u16, own: &[(&str, &str)]) -> Server {
    let mut server = Server::new("standby", "QUIT");
    let data = server.folder.join("data");
    let as_user = unprivileged(&server.folder);
    let mut copy = as_user.clone();
    copy.push(postgres_bin().join("pg_basebackup").display().to_string());
    copy.extend(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--wal-method=stream"].map(String::from));
    copy.push(format!("--dbname=postgres://{USER}:{PASSWORD}@127.0.0.1:{primary}/postgres"));
    copy.push(format!("--pgdata={}", data.display()));
    succeed(&copy);
    server.serve_postgres(as_user, &data, own);
    server
}

fn succeed(command: &[String]) {
    let output = Command::new(&command[0]).args(&command[1..]).current_dir("/tmp").output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Server {
    /// Serves the data of a PostgreSQL.
    fn serve_postgres(&mut self, as_user: Vec<String>, data: &Path, own: &[(&str, &str)]) {
        self.command = as_user;
        let program = postgres_bin().join("postgres").display().to_string();
        self.command.extend([program, "-D".into(), data.display().to_string()]);
        let port = self.port.to_string();
        let settings = [
            ("listen_addresses", "127.0.0.1"),
            ("port", &port),
            ("unix_socket_directories", ""),
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("max_connections", "300"),
            ("shared_buffers", "64MB"),
            // Neither UTC nor the machine's: nothing may depend on the server's time zone.
            ("timezone", "America/St_Johns"),
        ];
        for (name, value) in settings.iter().chain(own) {
            self.command.extend(["-c".into(), format!("{name}={value}")]);
        }
        self.start();
    }
}

/// A Redis without persistence.
pub fn redis() -> Server {
    let mut server = Server::new("redis", "KILL");
    server.command = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]
        .map(String::from)
        .to_vec();
    server.command.push(server.port.to_string());
    server.start();
    server
}

pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn postgres_bin() -> PathBuf {
    let debian =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let configured = Command::new("pg_config").arg("--bindir").output().ok();
    let configured = configured.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let mut found: Vec<PathBuf> =
        configured.into_iter().chain(debian).filter(|bin| bin.join("postgres").exists()).collect();
    found.sort();
    found.pop().expect("PostgreSQL's server programs: install the package \"postgresql\"")
}

/// PostgreSQL refuses to run as root: then the folder is given to another user, and this runs a program as that user.
fn unprivileged(folder: &Path) -> Vec<String> {
    if id("-u", "").as_deref() != Some("0") {
        return Vec::new();
    }
    let user = ["postgres", "nobody"].into_iter().find_map(|name| id("-u", name).zip(id("-g", name)));
    let (uid, gid) = user.expect("a user to run PostgreSQL as");
    chown(folder, Some(uid.parse().unwrap()), Some(gid.parse().unwrap())).unwrap();
    ["setpriv".into(), format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".into()].to_vec()
}

fn id(flag: &str, user: &str) -> Option<String> {
    let output = Command::new("id").arg(flag).args(Some(user).filter(|user| !user.is_empty())).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
