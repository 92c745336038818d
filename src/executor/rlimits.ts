/** Resources of setrlimit by number (asm-generic/resource.h: x86-64 and arm64). */
const resources: readonly string[] = [
  ...['CPU', 'FSIZE', 'DATA', 'STACK', 'CORE', 'RSS', 'NPROC', 'NOFILE', 'MEMLOCK', 'AS', 'LOCKS'],
  ...['SIGPENDING', 'MSGQUEUE', 'NICE', 'RTPRIO', 'RTTIME'],
].map((name) => `RLIMIT_${name}`);

/** Number of `RLIMIT_<NAME>`; throws a RangeError for a name that is none. */
export function rlimitNumber(type: string): number {
  const number = resources.indexOf(type);
  if (number < 0) throw new RangeError(`no resource limit ${type}`);
  return number;
}
