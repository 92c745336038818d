import { call, native } from './native.ts';

// User notifications of seccomp (seccomp_unotify(2)): a filter hands some calls of a process to another process, which answers them. All
// numbers are the same on x86-64 and arm64.

const PIDFD_OPEN = 434;
const PIDFD_GETFD = 438;
const NOTIF_RECV = 0xc050_2100;
const NOTIF_SEND = 0xc018_2101;
const NOTIF_ID_VALID = 0x4008_2102;
const POLLIN = 1;

/** A call that waits for its answer. */
export interface Notification {
  readonly id: bigint;
  /** The thread that called, as this process sees it. */
  readonly pid: number;
  readonly number: number;
  readonly args: readonly bigint[];
}

/** A duplicate of another process's descriptor; needs the right to trace it. */
export function takeDescriptor(pid: number, fd: number): number {
  const parameters = ['long', 'int', 'int', 'uint'];
  const pidfd = call('syscall', parameters, [PIDFD_OPEN, pid, 0, 0], { as: 'pidfd_open' });
  try {
    return call('syscall', parameters, [PIDFD_GETFD, pidfd, fd, 0], { as: 'pidfd_getfd' });
  } finally {
    call('close', ['int'], [pidfd], { once: true });
  }
}

/** Waits without holding this thread; false when nobody is left who could call. */
export function waitForNotification(listener: number): Promise<boolean> {
  const request = Buffer.alloc(8);
  request.writeInt32LE(listener, 0);
  request.writeInt16LE(POLLIN, 4);
  const poll = native('poll', 'int', ['uint8 *', 'ulong', 'int']);
  return new Promise((resolve) => {
    poll.async(request, 1, -1, (error: unknown, count: number) => {
      resolve(error === null && count > 0 && (request.readInt16LE(6) & POLLIN) !== 0);
    });
  });
}

const ioctl = ['int', 'ulong', 'uint8 *'];

/** undefined: the caller is gone. */
export function receiveNotification(listener: number): Notification | undefined {
  // struct seccomp_notif: id, pid, flags; struct seccomp_data: nr, arch, instruction pointer, six arguments. It must be zero.
  const notif = Buffer.alloc(80);
  try {
    // Once: it would wait for the next when the caller of this one is gone.
    call('ioctl', ioctl, [listener, NOTIF_RECV, notif], { once: true });
  } catch {
    return undefined;
  }
  const args = [0, 1, 2, 3, 4, 5].map((index) => notif.readBigUInt64LE(32 + 8 * index));
  return { id: notif.readBigUInt64LE(0), pid: notif.readUInt32LE(8), number: notif.readInt32LE(16), args };
}

/** Whether the caller still waits: what was read of its memory was its own then. */
export function stillWaits(listener: number, id: bigint): boolean {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(id);
  try {
    call('ioctl', ioctl, [listener, NOTIF_ID_VALID, bytes]);
    return true;
  } catch {
    return false;
  }
}

/** Ends the call with an error number; 0 is success. */
export function answerNotification(listener: number, id: bigint, errno: number): void {
  // struct seccomp_notif_resp: id, value, error, flags.
  const response = Buffer.alloc(24);
  response.writeBigUInt64LE(id, 0);
  response.writeInt32LE(-errno, 16);
  try {
    call('ioctl', ioctl, [listener, NOTIF_SEND, response]);
  } catch {
    // The caller has died meanwhile.
  }
}
