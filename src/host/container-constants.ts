// Words of the calls that make a container (linux/mount.h, sched.h, prctl.h).

export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_REMOUNT = 32;
export const MS_NOATIME = 1024;
export const MS_BIND = 4096;
export const MS_REC = 16_384;
export const MS_PRIVATE: number = 1 << 18;
export const MS_RELATIME: number = 1 << 21;
export const MS_STRICTATIME: number = 1 << 24;
export const MNT_DETACH = 2;
export const CLONE_NEWNS: number = 0x2_0000;
export const CLONE_NEWCGROUP: number = 0x200_0000;
export const CLONE_NEWUTS: number = 0x400_0000;
export const CLONE_NEWIPC: number = 0x800_0000;
export const CLONE_NEWUSER: number = 0x1000_0000;
export const CLONE_NEWPID: number = 0x2000_0000;
export const CLONE_NEWNET: number = 0x4000_0000;
export const PR_SET_PDEATHSIG = 1;
export const PR_SET_KEEPCAPS = 8;
export const PR_CAPBSET_DROP = 24;
export const PR_SET_CHILD_SUBREAPER = 36;
export const PR_CAP_AMBIENT = 47;
export const PR_CAP_AMBIENT_RAISE = 2;
export const PR_CAP_AMBIENT_CLEAR_ALL = 4;
