#!/bin/sh
# Makes src/fixtures/tpm anew with a software TPM: swtpm, swtpm-tools, tpm2-tools, libtss2-tcti-swtpm0, openssl, xxd.
# The keys differ at each run; nothing in the tests depends on their values. The secrets of the CAs and the TPM are thrown away.
set -eu

out=$(cd "$(dirname "$0")/../src/fixtures" && pwd)/tpm
work=$(mktemp -d)
trap 'swtpm_ioctl --unix "$work/tpm.ctrl" -s 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir -p "$out" "$work/state" "$work/ca"
cd "$work"

# The EK certificate that a software TPM comes with: RSA-2048, a critical subjectAltName, an empty subject.
printf 'statedir = %s/ca\nsigningkey = %s/ca/key.pem\nissuercert = %s/ca/issuer.pem\ncertserial = %s/ca/serial\n' \
  "$work" "$work" "$work" "$work" >localca.conf
printf -- '--platform-manufacturer Latchkey\n--platform-version 1.0\n--platform-model Fixture\n' >localca.options
printf 'create_certs_tool=/usr/bin/swtpm_localca\ncreate_certs_tool_config=%s\ncreate_certs_tool_options=%s\n' \
  "$work/localca.conf" "$work/localca.options" >setup.conf
printf 'active_pcr_banks = sha256\n' >>setup.conf
swtpm_setup --tpm2 --tpmstate "$work/state" --config "$work/setup.conf" --create-ek-cert --lock-nvram --overwrite >setup.log
swtpm socket --tpm2 --tpmstate "dir=$work/state" --ctrl "type=unixio,path=$work/tpm.ctrl" \
  --server "type=unixio,path=$work/tpm" --flags not-need-init,startup-clear --daemon
export TPM2TOOLS_TCTI="swtpm:path=$work/tpm"

# A TPMT_PUBLIC is a TPM2B_PUBLIC without its two octets of length.
public() { tail -c +3 "$1" >"$out/$2"; }
flush() { tpm2_flushcontext -t; }

tpm2_nvread 0x01c00002 -o rsa-ek.crt
cat rsa-ek.crt >"$out/rsa-ek.crt"
openssl x509 -in ca/issuer.pem -outform DER -out "$out/issuer.crt"
openssl x509 -in ca/swtpm-localca-rootca-cert.pem -outform DER -out "$out/root.crt"

# A P-256 EK (TCG EK credential profile, template L-2), whose certificate a second CA of two levels issues.
tpm2_createek -c ecc-ek.ctx -G ecc -u ecc-ek.pub
flush
tpm2_createek -c rsa-ek.ctx -G rsa -u rsa-ek.pub
flush
public ecc-ek.pub ecc-ek.public
public rsa-ek.pub rsa-ek.public
tpm2_readpublic -c ecc-ek.ctx -f pem -o ecc-ek.pem >/dev/null
flush
openssl ecparam -name prime256v1 -genkey -noout -out ecc-ca.key
openssl req -x509 -new -key ecc-ca.key -subj '/CN=Latchkey test EK root' -days 36500 -outform PEM -out ecc-ca.pem \
  -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign'
openssl req -new -key ecc-ca.key -subj / -out ecc-ek.csr
printf '%s\n' 'basicConstraints=critical,CA:FALSE' 'keyUsage=critical,keyAgreement' 'extendedKeyUsage=2.23.133.8.1' \
  'subjectAltName=critical,dirName:tpm' '[tpm]' '1.2.23.133.2.1=id:00001014' >ecc-ek.ext
openssl x509 -req -in ecc-ek.csr -force_pubkey ecc-ek.pem -CA ecc-ca.pem -CAkey ecc-ca.key -days 36500 -extfile ecc-ek.ext \
  -outform DER -out "$out/ecc-ek.crt"
openssl x509 -in ecc-ca.pem -outform DER -out "$out/ecc-root.crt"

# An AK of each kind, and what it certifies: a possession key and a verification key, over the qualifying data 00 01 … 1f.
nonce=$(seq 0 31 | xargs printf '%02x')
ak() { # name, EK, algorithm, scheme, hash
  tpm2_createak -C "$2-ek.ctx" -c "$1-ak.ctx" -G "$3" -s "$4" -g "$5" -u "$1-ak.pub" >/dev/null
  flush
  public "$1-ak.pub" "$1-ak.public"
}
ak ecc ecc ecc ecdsa sha256
ak rsassa rsa rsa rsassa sha256
ak rsapss rsa rsa rsapss sha256

tpm2_createprimary -C o -g sha256 -G ecc -c primary.ctx >/dev/null
flush
key() { # name, attributes, authorisation
  tpm2_create -C primary.ctx -G ecc:ecdsa-sha256 -a "$2" ${3:+-p "$3"} -u "$1.pub" -r "$1.priv" >/dev/null
  flush
  tpm2_load -C primary.ctx -u "$1.pub" -r "$1.priv" -c "$1.ctx" >/dev/null
  flush
  public "$1.pub" "$1.public"
}
key possession 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign'
key verification 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign' 1234
key exportable 'sensitivedataorigin|userwithauth|noda|sign'
# TPM2_Certify (TPM 2.0 Library, part 3, section 18.2) over the qualifying data, which tpm2_certify cannot set.
certify() { # AK, key, authorisation
  tpm2_readpublic -c "$2.ctx" >/dev/null # is 80000000 from here on
  tpm2_readpublic -c "$1-ak.ctx" >/dev/null # is 80000001
  password=$(printf '%s' "${3:-}" | xxd -p)
  key=40000009000000$(printf '%04x' $((${#password} / 2)))$password
  sessions=${key}400000090000000000
  body=000001488000000080000001$(printf '%08x' $((${#sessions} / 2)))${sessions}0020${nonce}0010
  printf '8002%08x%s' $((${#body} / 2 + 6)) "$body" | xxd -r -p | tpm2_send -o answer
  answer=$(xxd -p answer | tr -d '\n')
  parameters=$((0x$(echo "$answer" | cut -c21-28)))
  attest=$((0x$(echo "$answer" | cut -c29-32)))
  tail -c +17 answer | head -c $attest >"$out/$1-$2.attest"
  tail -c +$((17 + attest)) answer | head -c $((parameters - 2 - attest)) >"$out/$1-$2.sig"
  flush
}
for ak in ecc rsassa rsapss; do
  certify "$ak" possession
done
certify ecc verification 1234
certify ecc exportable
ls -l "$out"
