# Makes ca.pem, server.{pem,key} and client.{pem,key} in the current directory: P-256, leaf and root.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 7 \
    -subj "/CN=bench CA" -addext "keyUsage=critical,keyCertSign,cRLSign"
leaf() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1"
    printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=%s\n%s\n' "$2" "$3" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 7 -extfile "$1.ext" -out "$1.pem"
}
leaf server serverAuth "subjectAltName=DNS:wiki.localhost"
leaf client clientAuth "subjectAltName=URI:urn:bench:device:1"
cat server.pem server.key >server-and-key.pem
openssl x509 -in client.pem -noout -fingerprint -sha1 | sed 's/.*=//; s/://g' | tr -d '\n' >client.sha1
