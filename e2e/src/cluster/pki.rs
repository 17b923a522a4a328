//! Certificates of one cluster, made once and kept with its state.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};

/// Written last: the set is whole.
const COMPLETE: &str = "complete";

/// Where a cluster's certificates are.
#[derive(Clone, Debug)]
pub(crate) struct Pki {
    folder: PathBuf,
}

/// One certificate to make.
struct Wanted<'a> {
    name: &'a str,
    common_name: &'a str,
    organisation: Option<&'a str>,
    /// Empty for a client.
    addresses: &'a [IpAddr],
    host_names: &'a [&'a str],
}

const fn client<'a>(name: &'a str, common_name: &'a str, organisation: Option<&'a str>) -> Wanted<'a> {
    Wanted { name, common_name, organisation, addresses: &[], host_names: &[] }
}

/// Certificate names.
pub(crate) mod names {
    pub(crate) const CA: &str = "ca";
    pub(crate) const FRONT_PROXY_CA: &str = "front-proxy-ca";
    pub(crate) const FRONT_PROXY: &str = "front-proxy";
    pub(crate) const APISERVER: &str = "apiserver";
    pub(crate) const APISERVER_KUBELET: &str = "apiserver-kubelet";
    pub(crate) const KUBELET_SERVING: &str = "kubelet-serving";
    pub(crate) const ADMIN: &str = "admin";
    pub(crate) const CONTROLLER_MANAGER: &str = "controller-manager";
    pub(crate) const SCHEDULER: &str = "scheduler";
    pub(crate) const KUBELET: &str = "kubelet";
    pub(crate) const PROXY: &str = "kube-proxy";
}

impl Pki {
    /// Makes the certificates, unless the folder holds a whole set already.
    pub(crate) fn ensure(folder: &Path, node: &str, addresses: &[IpAddr]) -> Result<Self> {
        let pki = Self { folder: folder.to_path_buf() };
        if !folder.join(COMPLETE).exists() {
            pki.make(node, addresses).context("cannot make certificates")?;
        }
        Ok(pki)
    }

    pub(crate) fn certificate(&self, name: &str) -> String {
        self.folder.join(format!("{name}.crt")).display().to_string()
    }

    pub(crate) fn key(&self, name: &str) -> String {
        self.folder.join(format!("{name}.key")).display().to_string()
    }

    /// Signs the tokens of service accounts.
    pub(crate) fn service_account_key(&self) -> String {
        self.key("service-accounts")
    }

    /// Verifies the tokens of service accounts.
    pub(crate) fn service_account_public_key(&self) -> String {
        self.folder.join("service-accounts.pub").display().to_string()
    }

    fn make(&self, node: &str, addresses: &[IpAddr]) -> Result<()> {
        fs::create_dir_all(&self.folder)?;
        let node_user = format!("system:node:{node}");
        let api_names = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ];
        let issuer = self.authority(names::CA, "purser local cluster")?;
        let admins = Some("system:masters");
        for wanted in [
            Wanted { addresses, host_names: &api_names, ..client(names::APISERVER, "kube-apiserver", None) },
            Wanted {
                addresses,
                host_names: &[node],
                ..client(names::KUBELET_SERVING, &node_user, Some("system:nodes"))
            },
            client(names::APISERVER_KUBELET, "kube-apiserver-kubelet-client", admins),
            client(names::ADMIN, "admin", admins),
            client(names::CONTROLLER_MANAGER, "system:kube-controller-manager", None),
            client(names::SCHEDULER, "system:kube-scheduler", None),
            client(names::KUBELET, &node_user, Some("system:nodes")),
            client(names::PROXY, "system:kube-proxy", None),
        ] {
            self.issue(&issuer, &wanted)?;
        }
        // Of its own authority: whoever holds a certificate of the first may not pass requests on for others.
        let front_proxy = self.authority(names::FRONT_PROXY_CA, "purser local front proxy")?;
        self.issue(&front_proxy, &client(names::FRONT_PROXY, "front-proxy-client", None))?;
        let service_accounts = KeyPair::generate()?;
        write_secret(Path::new(&self.service_account_key()), &service_accounts.serialize_pem())?;
        fs::write(self.service_account_public_key(), service_accounts.public_key_pem())?;
        fs::write(self.folder.join(COMPLETE), "").map_err(Into::into)
    }

    fn authority(&self, name: &str, common_name: &str) -> Result<Issuer<'static, KeyPair>> {
        let mut params = params(common_name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        fs::write(self.certificate(name), certificate.pem())?;
        Ok(Issuer::new(params, key))
    }

    fn issue(&self, issuer: &Issuer<'static, KeyPair>, wanted: &Wanted<'_>) -> Result<()> {
        let mut params = params(wanted.common_name, wanted.organisation);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if !wanted.addresses.is_empty() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        for name in wanted.host_names {
            params.subject_alt_names.push(SanType::DnsName((*name).try_into()?));
        }
        params.subject_alt_names.extend(wanted.addresses.iter().copied().map(SanType::IpAddress));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, issuer)?;
        fs::write(self.certificate(wanted.name), certificate.pem())?;
        write_secret(Path::new(&self.key(wanted.name)), &key.serialize_pem())
    }
}

fn params(common_name: &str, organisation: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(organisation) = organisation {
        params.distinguished_name.push(DnType::OrganizationName, organisation);
    }
    // As long as anyone keeps a local cluster; it is made anew with every `down` and `up`.
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params
}

fn write_secret(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}
