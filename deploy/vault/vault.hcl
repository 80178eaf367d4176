# Vault of the profile live. It starts sealed: docs/deploy.md says how it is initialised once and unsealed after each start.
# TLS is left to you, because the certificate is: tls_cert_file, tls_key_file, and tls_disable = false.
disable_mlock = true
api_addr      = "http://vault:8200"
cluster_addr  = "http://vault:8201"

storage "raft" {
  path    = "/vault/file"
  node_id = "vault"
}

listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "0.0.0.0:8201"
  tls_disable     = true
}
