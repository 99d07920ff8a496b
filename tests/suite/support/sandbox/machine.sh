# Run in namespaces of its own (`unshare --mount --net --pid`): prepares a machine in which a reader's commands can do
# no harm, and runs them. $1 is the sandbox's folder. Each command is a file of `steps/`, in the order of their names; $2 holds the packages that `npm install` would fetch.
# What it printed is left in NAME.out, and its exit code in NAME.code; the first that fails is the last.
set -eu

mount --make-rprivate /
mount -t proc proc /proc
mount --bind "$1" /mnt
mount --bind "$2" /mnt/modules
cp -a /etc /mnt/etc
mkdir -p /mnt/srv
mount --bind /mnt/etc /etc
mount --bind /mnt/srv /srv
mount --bind /mnt/home /root
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mount -t tmpfs tmpfs /var/www
mkdir -p /run/sshd /var/log/nginx /var/www/html
ip link set lo up
ip address add 192.0.2.7/32 dev lo

rm -f /etc/ssh/ssh_host_* /etc/ssh/sshd_config.d/* /etc/nginx/sites-enabled/*
cp /mnt/keys/host /etc/ssh/ssh_host_ed25519_key
cp /mnt/keys/host.pub /etc/ssh/ssh_host_ed25519_key.pub
chmod 600 /etc/ssh/ssh_host_ed25519_key
sed "s/^/192.0.2.7 /" /mnt/names >>/etc/hosts

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /mnt/ca.key -out /mnt/ca.pem \
    -subj "/CN=Sandbox" -days 90 2>/dev/null

export PATH=/mnt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 SSL_CERT_FILE=/mnt/ca.pem NEXT_TELEMETRY_DISABLED=1
echo /mnt/work >/mnt/cwd
for step in /mnt/steps/*.sh; do
    code=0
    (cd "$(cat /mnt/cwd)" && exec bash "$step") >"${step%.sh}.out" 2>&1 </dev/null || code=$?
    echo "$code" >"${step%.sh}.code"
    [ "$code" = 0 ] || break
done
cat /var/log/nginx/error.log /var/log/auth.log /mnt/sshd.log >/mnt/server.log 2>/dev/null || true
