//! Which proxy a request goes through: the environment's, as curl and its kin read it.
//!
//! For `https://` the first of `HTTPS_PROXY`, `ALL_PROXY` that is set and not empty, for `http://` the first of
//! `HTTP_PROXY`, `ALL_PROXY`; a name in lower case goes before its capitals. Hosts that `NO_PROXY` names are reached
//! directly, and so are their subdomains; `*` names all; this machine itself never goes through a proxy. The HTTP
//! client's own reading takes `ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY` in this order whatever the address is, and knows
//! no subdomains, hence this one.
//!
//! A proxy may be `http`, `https`, `socks4`, `socks4a`, `socks5` or `socks5h`; without a scheme it is `http`. An HTTP
//! proxy is always asked to CONNECT, for `http://` addresses too: ureq 3 has no other way through one (no request with an
//! address in absolute form), so that a proxy which allows CONNECT to port 443 alone, as Squid does by default, refuses
//! `http://` addresses with 403. Of the official addresses one, Fashion-MNIST's second, is of that kind; `NO_PROXY` with
//! its host reaches it directly, as it does a mirror.

use crate::error::{Error, Result};
use ureq::Proxy;

/// The proxy for an address, if any; `environment` looks up a variable.
///
/// # Errors
/// A variable that counts holds no address of a proxy.
pub(super) fn choose(address: &str, environment: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>> {
    let of_scheme = if address.starts_with("https:") { "https_proxy" } else { "http_proxy" };
    let lookup = |name: &str| {
        let capitals = name.to_ascii_uppercase();
        [name, &capitals].into_iter().find_map(|name| {
            let value = environment(name)?.trim().to_string();
            (!value.is_empty()).then(|| (name.to_string(), value))
        })
    };
    let Some((variable, value)) = lookup(of_scheme).or_else(|| lookup("all_proxy")) else { return Ok(None) };
    // The value may hold a password, so the message names the variable alone.
    let unusable = |_| Error::argument(format!("{variable} is not the address of a proxy that can be used"));
    let parsed = Proxy::new(&value).map_err(unusable)?;
    let mut builder = Proxy::builder(parsed.protocol()).host(parsed.host()).port(parsed.port());
    if let Some(username) = parsed.username() {
        builder = builder.username(username);
    }
    if let Some(password) = parsed.password() {
        builder = builder.password(password);
    }
    for own in ["localhost", "127.*", "[::1]"] {
        builder = builder.no_proxy(own);
    }
    for host in lookup("no_proxy").iter().flat_map(|(_, list)| list.split(',')).map(str::trim) {
        let bare = host.trim_start_matches("*.").trim_start_matches('.');
        builder = match host {
            "" => builder,
            "*" => builder.no_proxy("*"),
            _ => builder.no_proxy(bare).no_proxy(&format!(".{bare}")),
        };
    }
    builder.build().map(Some).map_err(unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(address: &str, environment: &[(&str, &str)]) -> Option<String> {
        let lookup = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string());
        let proxy = choose(address, lookup).unwrap()?;
        let uri = address.parse().unwrap();
        (!proxy.is_no_proxy(&uri)).then(|| format!("{}:{}", proxy.host(), proxy.port()))
    }

    #[test]
    fn the_scheme_of_the_address_decides() {
        let all =
            [("HTTP_PROXY", "http://a:1"), ("HTTPS_PROXY", "http://b:2"), ("ALL_PROXY", "socks5://c:3")];
        assert_eq!(chosen("http://x/", &all).unwrap(), "a:1");
        assert_eq!(chosen("https://x/", &all).unwrap(), "b:2");
        assert_eq!(chosen("https://x/", &all[2..]).unwrap(), "c:3");
        assert_eq!(chosen("https://x/", &all[..1]), None);
        assert_eq!(chosen("http://x/", &[("http_proxy", "d:4"), all[0]]).unwrap(), "d:4", "lower case first");
        assert_eq!(chosen("http://x/", &[("HTTP_PROXY", " "), all[2]]).unwrap(), "c:3", "empty is not set");
        assert_eq!(chosen("http://x/", &[]), None);
    }

    #[test]
    fn no_proxy_names_hosts_and_their_subdomains() {
        let through = |list: &str, host: &str| {
            chosen(&format!("http://{host}/f"), &[("HTTP_PROXY", "a:1"), ("NO_PROXY", list)]).is_some()
        };
        let list = "localhost, example.org,.lab.edu,*.data.net,10.0.0.7";
        for direct in
            ["localhost", "example.org", "s3.example.org", "lab.edu", "x.lab.edu", "d.data.net", "10.0.0.7"]
        {
            assert!(!through(list, direct), "{direct}");
        }
        for proxied in ["notexample.org", "example.org.evil.com", "edu", "10.0.0.70"] {
            assert!(through(list, proxied), "{proxied}");
        }
        assert!(!through("*", "anything.net") && through("", "anything.net"));
        for own in ["localhost:80", "127.0.0.1:8080", "127.1.2.3", "[::1]:80"] {
            assert!(!through("", own), "{own}");
        }
    }

    #[test]
    fn a_bad_value_is_named_by_its_variable_without_its_password() {
        let lookup = |name: &str| (name == "ALL_PROXY").then(|| "ftp://me:secret@x".to_string());
        let error = choose("http://x/", lookup).unwrap_err().to_string();
        assert_eq!(error, "ALL_PROXY is not the address of a proxy that can be used");
    }

    #[test]
    fn a_name_and_password_reach_the_proxy() {
        let lookup = |name: &str| (name == "HTTP_PROXY").then(|| "http://me:p%40ss@x:8".to_string());
        let proxy = choose("http://y/", lookup).unwrap().unwrap();
        assert_eq!((proxy.username(), proxy.password()), (Some("me"), Some("p@ss")));
    }
}
