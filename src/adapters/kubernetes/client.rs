//! Who is asked, and by what connection: kubeconfig or service account, proxies, certificates.

use std::{env, net::ToSocketAddrs, path::PathBuf, time::Duration};

use hyper::{Request, Response, header::HeaderValue};
use kube::{
    Client, Config,
    client::{Body, ConfigExt},
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use reqwest::{Proxy, redirect::Policy};
use serde_json::{Value, json};
use tower::{BoxError, ServiceBuilder};

use super::failure::Failure;
use crate::cloud::failure::describe;

/// The longest that connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A client for the cluster of a kubeconfig file; without one for that of `KUBECONFIG`, of `~/.kube/config`, or for the one
/// this process runs in. Reads files and may run a program that logs in, so it wants a thread that may block.
pub(super) async fn connect(kubeconfig: Option<PathBuf>) -> Result<Client, Failure> {
    let (mut config, proxy) = configuration(kubeconfig).await?;
    trust(&mut config);
    let mut http = reqwest::Client::builder()
        .user_agent(concat!("helios-infrastructure/", env!("CARGO_PKG_VERSION")))
        // Logs that are followed would use up the streams of one HTTP/2 connection, and nothing else would come through.
        .http1_only()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .tls_backend_preconfigured(config.rustls_client_config()?);
    if let Some(url) = proxy {
        let proxy =
            Proxy::all(url).map_err(|error| Failure::fatal(describe(&error.without_url())))?;
        http = http.proxy(proxy);
    }
    if let Some(name) = config.tls_server_name.clone() {
        let url = &config.cluster_url;
        let (host, port) = (url.host().unwrap_or_default(), url.port_u16().unwrap_or(443));
        let addresses: Vec<_> = (host.trim_matches(['[', ']']), port)
            .to_socket_addrs()
            .map_err(|error| Failure::transient(format!("{host} cannot be found: {error}")))?
            .collect();
        config.cluster_url = format!("https://{name}:{port}{}", url.path().trim_end_matches('/'))
            .parse()
            .map_err(|error| Failure::fatal(format!("tls-server-name: {error}")))?;
        http = http.resolve_to_addrs(&name, &addresses);
    }
    let http = http.build().map_err(|error| Failure::fatal(describe(&error.without_url())))?;
    check_token(&config)?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service_fn(move |request| send(http.clone(), request));
    Ok(Client::new(service, config.default_namespace))
}

/// Refuses a token that the layer would panic for, such as one with the line feed of its file.
fn check_token(config: &Config) -> Result<(), Failure> {
    let login = serde_json::to_value(&config.auth_info).unwrap_or_default();
    match login["token"].as_str().map(HeaderValue::from_str) {
        Some(Err(_)) => {
            Err(Failure::fatal("the token of the kubeconfig cannot be sent in a header"))
        }
        _ => Ok(()),
    }
}

async fn send(
    http: reqwest::Client,
    request: Request<Body>,
) -> Result<Response<reqwest::Body>, BoxError> {
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts, body.collect_bytes().await?);
    let response = http.execute(request.try_into()?).await.map_err(reqwest::Error::without_url)?;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return Ok(response.into());
    }
    let body = response.bytes().await.map_err(reqwest::Error::without_url)?;
    Ok(Response::builder().status(status).body(with_code(&body, status.as_u16()).into())?)
}

/// What says why a request failed, with the status that it really had: a gateway's JSON has none.
fn with_code(body: &[u8], code: u16) -> Vec<u8> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(mut status)) => {
            status.insert("code".to_owned(), code.into());
            Value::Object(status).to_string().into_bytes()
        }
        Ok(other) => json!({ "code": code, "message": other.to_string() }).to_string().into_bytes(),
        Err(_) => body.to_vec(),
    }
}

/// What there is to know of the cluster, and the proxy that its file names.
async fn configuration(path: Option<PathBuf>) -> Result<(Config, Option<String>), Failure> {
    let is_named = path.is_some();
    let kubeconfig = match path.map_or_else(Kubeconfig::read, Kubeconfig::read_from) {
        Ok(kubeconfig) => kubeconfig,
        Err(none @ (KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath)) if !is_named => {
            let here = Config::incluster().map_err(|here| {
                let (here, none) = (describe(&here), describe(&none));
                Failure::fatal(format!("no cluster is configured: {none}; {here}"))
            })?;
            return Ok((here, None));
        }
        Err(error) => return Err(error.into()),
    };
    let proxy = own_proxy(&kubeconfig);
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok((config, proxy))
}

/// `proxy-url` of the cluster that is chosen. Without it our client goes by the environment, as everywhere.
fn own_proxy(kubeconfig: &Kubeconfig) -> Option<String> {
    let current = kubeconfig.current_context.as_ref()?;
    let context = kubeconfig.contexts.iter().find(|context| context.name == *current)?;
    let name = &context.context.as_ref()?.cluster;
    let cluster = kubeconfig.clusters.iter().find(|cluster| cluster.name == *name)?;
    cluster.cluster.as_ref()?.proxy_url.clone().filter(|url| !url.is_empty())
}

/// Trusts as Node does.
fn trust(config: &mut Config) {
    if env::var("NODE_TLS_REJECT_UNAUTHORIZED").is_ok_and(|value| value == "0") {
        config.accept_invalid_certs = true;
    }
    let Some(file) = env::var_os("NODE_EXTRA_CA_CERTS").filter(|file| !file.is_empty()) else {
        return;
    };
    // Node warns of what it cannot read, and goes on.
    let extra = rustls_native_certs::load_certs_from_paths(Some(file.as_ref()), None).certs;
    if extra.is_empty() {
        return;
    }
    let known = config.root_cert.take().unwrap_or_else(|| {
        let of_system = rustls_native_certs::load_native_certs().certs;
        of_system.iter().map(|certificate| certificate.to_vec()).collect()
    });
    let extra = extra.iter().map(|certificate| certificate.to_vec());
    config.root_cert = Some(known.into_iter().chain(extra).collect());
    // The file alone would be read again later, and the others forgotten.
    config.root_cert_file = None;
}
