//! Writes `crds/*.yaml` from the Rust types: `cargo run -p crds --bin crdgen`.

use std::path::Path;
use std::{fs, io};

use kube::ResourceExt;

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for crd in crds::all() {
        let path = folder.join(format!("{}.yaml", crd.name_any()));
        fs::write(&path, crds::yaml(&crd).map_err(io::Error::other)?)?;
        println!("wrote {}", path.display());
    }
    Ok(())
}
