/**
 * What the processor offers the engine: cores that this process may use, and the settings of OpenMP that follow.
 * Settings that a user made in the environment always win.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/**
 * Physical cores that this process may use: hyper-threads of a core share its vector units, so a thread each gains
 * nothing. Respects the affinity mask and a container's CPU quota.
 */
export function usableCores(): number {
  const physical = countPhysicalCores(readText('/proc/cpuinfo'));
  const logical = availableParallelism();
  const quota = readQuota();
  return Math.max(1, Math.min(physical ?? logical, logical, quota ?? logical));
}

/** Distinct (package, core) pairs of /proc/cpuinfo; undefined where it does not tell. */
export function countPhysicalCores(cpuinfo: string | undefined): number | undefined {
  if (cpuinfo === undefined) return undefined;
  const cores = new Set<string>();
  for (const block of cpuinfo.split('\n\n')) {
    const socket = /^physical id\s*: (\d+)/m.exec(block)?.[1];
    const core = /^core id\s*: (\d+)/m.exec(block)?.[1];
    if (socket !== undefined && core !== undefined) cores.add(`${socket}/${core}`);
  }
  return cores.size > 0 ? cores.size : undefined;
}

/** CPUs that the control group grants, rounded up; undefined without a limit. */
function readQuota(): number | undefined {
  const [quota, period] = (readText('/sys/fs/cgroup/cpu.max') ?? '').trim().split(' ').map(Number);
  return quota && period && Number.isFinite(quota / period) ? Math.ceil(quota / period) : undefined;
}

/**
 * Environment variables to set before libtorch is loaded, for those that are not set yet.
 *
 * GOMP_SPINCOUNT: OpenMP's threads busy-wait between parallel regions; on cores shared with another process that makes a
 * training step ten times slower. A short spin costs little when the machine is quiet.
 */
export function engineEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const wanted: Record<string, string> = {};
  if (env.GOMP_SPINCOUNT === undefined && env.OMP_WAIT_POLICY === undefined) wanted.GOMP_SPINCOUNT = '10000';
  return wanted;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
