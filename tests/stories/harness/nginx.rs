//! A real nginx in front of the service, as docs/operations.md configures it.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{TestApp, eventually, run};

/// A running nginx.
#[derive(Debug)]
pub(crate) struct Nginx {
    child: Child,
}

impl Nginx {
    /// Puts an nginx with default limits in front of the service, whose issuer is from now on the proxy's address.
    pub(crate) async fn before(signet: &mut TestApp) -> Self {
        let port = run::free_port();
        let issuer = format!("http://127.0.0.1:{port}");
        signet.restart_with(&[("issuer", &issuer), ("trusted_proxies", "127.0.0.1/32")]).await;
        signet.issuer = issuer;
        let folder = run::folder();
        let documented = include_str!("../../../docs/operations.md");
        let (_, location) = documented.split_once("```nginx\n").expect("a configuration");
        let (location, _) = location.split_once("\n```").expect("its end");
        let location = location.replace("127.0.0.1:8080", &signet.site.authority()).replace("$host", "$http_host");
        let configuration = configuration(&folder, port, &location);
        std::fs::write(folder.join("nginx.conf"), configuration).expect("the folder is ours");
        let child = Command::new(program())
            .arg("-p")
            .arg(&folder)
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts: tests/run installs it");
        run::supervise(child.id());
        let nginx = Self { child };
        let listens = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        eventually(Duration::from_secs(20), "nginx listens", listens).await;
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        run::release(self.child.id());
    }
}

/// Where nginx is: Debian keeps it out of the path of users.
fn program() -> String {
    let set = std::env::var("SIGNET_TEST_NGINX").ok();
    set.unwrap_or_else(|| if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" }.to_owned())
}

/// One process, which ends with its parent's kill. Its buffer for an answer's header is smaller than the default of 4096
/// bytes by what HTTPS would add to the header: longer names of cookies, `Secure`, and HSTS.
fn configuration(folder: &Path, port: u16, location: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\n\
         events {{}}\n\
         http {{\naccess_log off;\n\
         client_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\nfastcgi_temp_path {folder}/fastcgi;\n\
         uwsgi_temp_path {folder}/uwsgi;\nscgi_temp_path {folder}/scgi;\n\
         proxy_buffer_size 3900;\n\
         server {{\nlisten 127.0.0.1:{port};\n{location}\n}}\n}}\n"
    )
}
