import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { type Buildah, output } from './buildah.ts';

const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';
const MIRROR = 'http://deb.debian.org/debian';

/**
 * What stands in for `node:24-bookworm-slim` where Docker Hub is out of reach: the same Debian, Node.js as the
 * repository brings it, npm, and the user `node`. It trusts and asks whom this machine does.
 */
export async function buildStandInBase(
  buildah: Buildah,
  image: string,
  directory: string,
): Promise<void> {
  await output('debootstrap', '--variant=minbase', 'bookworm', directory, MIRROR);
  const prefix = join(directory, 'usr', 'local');
  await cp(process.execPath, join(prefix, 'bin', 'node'));
  await output('npm', 'install', '--global', '--prefix', prefix, 'npm@11');
  await output('chroot', directory, 'groupadd', '--gid', '1000', 'node');
  const user = ['--uid', '1000', '--gid', 'node', '--create-home', 'node'];
  await output('chroot', directory, 'useradd', ...user);
  await trustWhomThisMachineTrusts(directory);
  const registry = await output('npm', 'config', 'get', 'registry');
  await buildah.commit(directory, image, [
    `npm_config_registry=${registry}`,
    ...(process.env['NODE_EXTRA_CA_CERTS'] ? [`NODE_EXTRA_CA_CERTS=${CERTIFICATES}`] : []),
  ]);
}

async function trustWhomThisMachineTrusts(directory: string): Promise<void> {
  const certificates = process.env['NODE_EXTRA_CA_CERTS'];
  if (!certificates) return;
  await mkdir(join(directory, 'etc', 'ssl', 'certs'), { recursive: true });
  await cp(certificates, join(directory, CERTIFICATES), { dereference: true });
}
