//! The generated YAML is what the Rust types say.

use std::path::Path;

use kube::ResourceExt;

#[test]
fn the_yaml_is_fresh() {
    for crd in crds::all() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{}.yaml", crd.name_any()));
        let on_disk = std::fs::read_to_string(&path).unwrap_or_default();
        let generated = crds::yaml(&crd).unwrap();
        assert!(on_disk == generated, "{} is stale; run `cargo run -p crds --bin crdgen` and commit", path.display());
    }
}
