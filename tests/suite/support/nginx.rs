//! A real nginx for one test, in its own folder. Both are removed when the test ends.

use std::env;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::command::Project;
use super::sshd::is_root;

/// The address in a vhost for [`Nginx::start`]. It is replaced with a free port.
pub const LISTEN: &str = "127.0.0.1:1";

const BROTLI: &str = "ngx_http_brotli_static_module.so";

/// A running nginx.
pub struct Nginx {
    address: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Nginx {
    /// Starts an nginx with this vhost, which listens on [`LISTEN`], and waits until it accepts.
    pub fn start(vhost: &str) -> Self {
        assert!(vhost.contains(LISTEN), "the vhost listens on {LISTEN}");
        for _ in 0..5 {
            if let Some(nginx) = Self::try_start(vhost) {
                return nginx;
            }
        }
        panic!("nginx found no free port");
    }

    /// Starts an nginx with a vhost that sets its own address, and waits until it accepts there.
    pub fn at(address: SocketAddr, vhost: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::run(address, vhost, folder).unwrap_or_else(|log| panic!("nginx ended: {log}"))
    }

    /// Starts an nginx with the vhost that a project prints for its target, with additional options.
    #[track_caller]
    pub fn of(project: &Project, more: &[&str]) -> Self {
        let plain = ["nginx", "--without-tls", "--listen", LISTEN, "--nginx-version", "1.22"];
        Self::start(&project.run(&[&plain, more].concat()).expect_code(0).stdout)
    }

    /// Like [`Nginx::start`], but nginx runs as another user if the tests run as root.
    pub fn start_as(vhost: &str, uid: u32) -> Self {
        for _ in 0..5 {
            if let Some(nginx) = Self::try_start_as(vhost, Some(uid)) {
                return nginx;
            }
        }
        panic!("nginx found no free port");
    }

    fn try_start(vhost: &str) -> Option<Self> {
        Self::try_start_as(vhost, None)
    }

    fn try_start_as(vhost: &str, uid: Option<u32>) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let folder = tempfile::tempdir().expect("a folder");
        let vhost = vhost.replace(LISTEN, &address.to_string());
        match Self::run_as(address, &vhost, folder, uid) {
            Ok(nginx) => Some(nginx),
            Err(log) => {
                assert!(log.contains("Address already in use"), "nginx ended: {log}");
                None
            }
        }
    }

    /// Starts nginx. Returns its error output if it ends instead of accepting.
    fn run(address: SocketAddr, vhost: &str, folder: TempDir) -> Result<Self, String> {
        Self::run_as(address, vhost, folder, None)
    }

    fn run_as(address: SocketAddr, vhost: &str, folder: TempDir, uid: Option<u32>) -> Result<Self, String> {
        let mut command = command(folder.path(), vhost);
        if let Some(uid) = uid.filter(|_| is_root()) {
            chown(folder.path(), Some(uid), Some(uid)).expect("a folder to give away");
            command.uid(uid).gid(uid);
        }
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        let mut nginx = Self { address, child, folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            if nginx.child.try_wait().expect("a child").is_some() {
                return Err(nginx.log());
            }
            assert!(Instant::now() < deadline, "nginx never accepted: {}", nginx.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(nginx)
    }

    /// The address that nginx listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process ID of its only process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The content of the error log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The complaints of `nginx -t` about a vhost, including warnings. Empty if there are none.
pub fn complaints(vhost: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let output = command(folder.path(), vhost)
        .arg("-t")
        .output()
        .expect("nginx is installed");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let complaints: Vec<_> = text
        .lines()
        .filter(|line| !line.ends_with("syntax is ok") && !line.ends_with("test is successful"))
        .collect();
    assert_eq!(output.status.success(), text.contains("test is successful"), "{text}");
    complaints.join("\n")
}

/// The command for an nginx with this vhost, in a complete configuration that uses only its folder.
fn command(folder: &Path, vhost: &str) -> Command {
    let modules = modules();
    let load = match modules.iter().find(|path| path.exists()) {
        Some(path) if vhost.contains("brotli_static") => format!("load_module {};", path.display()),
        _ => String::new(),
    };
    let at = folder.display();
    let configuration = format!(
        "{load}
daemon off;
# One process: killing it leaves nothing behind, and it reads what the test may read.
master_process off;
pid {at}/pid;
error_log {at}/error.log notice;
events {{}}
http {{
    access_log off;
    client_body_temp_path {at}/body;
    proxy_temp_path {at}/proxy;
    fastcgi_temp_path {at}/fastcgi;
    uwsgi_temp_path {at}/uwsgi;
    scgi_temp_path {at}/scgi;
    # What a distribution's own file sets for every vhost.
    gzip on;
    types {{ text/html html; }}
    add_header X-From-The-Http-Level leaked;
    expires 1d;
{vhost}
}}
"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration).expect("the configuration is written");
    let mut command = Command::new(binary());
    command.arg("-p").arg(folder).arg("-c").arg(file);
    command.arg("-e").arg(folder.join("error.log"));
    command
}

/// Another nginx than the machine's, which has all modules built in.
const OTHER: &str = "SYNTAX_PUBLISH_NGINX";

fn binary() -> PathBuf {
    // Debian installs it in a folder that is only in root's PATH.
    let of_debian = Path::new("/usr/sbin/nginx");
    match env::var_os(OTHER) {
        Some(other) => other.into(),
        None if of_debian.exists() => of_debian.to_owned(),
        None => "nginx".into(),
    }
}

fn modules() -> Vec<PathBuf> {
    if env::var_os(OTHER).is_some() {
        return Vec::new();
    }
    ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"]
        .map(|folder| Path::new(folder).join(BROTLI))
        .into()
}
