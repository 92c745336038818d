import type { CheckName } from '../../src/frontend/checks/rules.ts';

/** Dockerfiles that show one rule: `fires` has it, `quiet` is as near as can be and has it not. */
export interface CheckCase {
  readonly row: string;
  readonly fires: readonly string[];
  readonly quiet: readonly string[];
  /** What the ignore file of the context says. */
  readonly ignore?: string;
}

export const checkCases: Readonly<Record<CheckName, CheckCase>> = {
  StageNameCasing: {
    row: 'CK-1',
    fires: [
      'FROM scratch AS Build',
      'FROM scratch AS x\nFROM x AS aB_c.D-1\nCOPY --from=X a /',
      // With all that call it so, and with nothing else.
      'FROM scratch AS Build\nFROM Build AS x\nCOPY --from=Build Build /Build\nRUN --mount=From=BUILD,target=/Build Build\nFROM BUILD',
      'FROM scratch AS A\nFROM A\nFROM scratch AS A\nFROM A AS y\nCOPY --link --from=a a /\nCOPY --fr\\\nom=A a /',
      'FROM scratch AS Build\n\nFROM scratch\nRUN --mount="type=bind,from=Build,target=/x" --mount=target=/y,from=Build x',
    ],
    quiet: ['FROM scratch AS build-1', 'FROM scratch AS build\nFROM BUILD'],
  },
  FromAsCasing: {
    row: 'CK-2',
    fires: ['FROM scratch as x', 'from scratch AS x', 'FROM scratch As x'],
    quiet: ['FROM scratch AS x', 'from scratch as x', 'FROM scratch', 'From scratch as x'],
  },
  NoEmptyContinuation: {
    row: 'CK-3',
    fires: [
      'FROM scratch\nLABEL a=1 \\\n\n',
      'FROM scratch\nLABEL a=1 \\\n\n  b=2',
      'FROM scratch\nLABEL a=1 \\\n  \n\t\n  # c\n\n  b=2\nLABEL c=3',
    ],
    quiet: ['FROM scratch\nLABEL a=1 \\\n  # comment\n  b=2', 'FROM scratch\n\nLABEL a=1\n\n'],
  },
  ConsistentInstructionCasing: {
    row: 'CK-4',
    fires: [
      'FROM scratch\nLABEL a=1\nlabel b=2',
      'from scratch\nlabel a=1\nLABEL b=2',
      'FROM scratch\nlabel a=1',
      'FROM scratch\nLabel a=1\nONBUILD env a=1',
    ],
    quiet: [
      'FROM scratch\nLABEL a=1',
      'from scratch\nlabel a=1\nonbuild ENV a=1',
      'arg A=1\narg B\nFROM scratch',
    ],
  },
  DuplicateStageName: {
    row: 'CK-5',
    fires: [
      'FROM scratch AS a\nFROM scratch AS a',
      'FROM scratch AS a\nFROM scratch AS b\nFROM scratch AS A',
    ],
    quiet: ['FROM scratch AS a\nFROM scratch AS b\nFROM scratch'],
  },
  ReservedStageName: {
    row: 'CK-6',
    fires: ['FROM alpine AS scratch', 'FROM alpine AS context'],
    quiet: ['FROM scratch AS scratch1', 'FROM scratch AS main-context'],
  },
  JSONArgsRecommended: {
    row: 'CK-7',
    fires: [
      'FROM scratch\nCMD run me',
      'FROM scratch\nENTRYPOINT run me',
      'FROM scratch AS a\nFROM a\nCMD x',
      'FROM scratch\nCMD ["run" "me"]',
    ],
    quiet: [
      'FROM scratch\nCMD ["run"]\nENTRYPOINT ["me"]',
      'FROM scratch\nSHELL ["/bin/bash", "-c"]\nCMD run',
      'FROM shelled\nCMD run',
      'FROM scratch\nCMD []',
    ],
  },
  MaintainerDeprecated: {
    row: 'CK-8',
    fires: ['FROM scratch\nMAINTAINER Me <me@example.com>'],
    quiet: ['FROM scratch\nLABEL org.opencontainers.image.authors=me', 'FROM scratch\nLABEL maintainer=me'],
  },
  UndefinedArgInFrom: {
    row: 'CK-9',
    fires: [
      'ARG VERSION=1\nFROM alpine:${VERSOIN:-1}',
      'FROM --platform=${PLATFROM:-linux} alpine',
      'FROM alpine${X}',
    ],
    quiet: [
      'ARG VERSION=1\nFROM alpine:$VERSION',
      'FROM --platform=$BUILDPLATFORM alpine',
      'FROM alpine:${TARGETARCH}',
    ],
  },
  WorkdirRelativePath: {
    row: 'CK-10',
    fires: [
      'FROM alpine\nWORKDIR app',
      'FROM scratch AS a\nFROM a\nWORKDIR ./b',
      'FROM alpine\nWORKDIR "a b"',
      'FROM alpine\nARG D=app\nWORKDIR $D',
      'FROM alpine\nWORKDIR C:/app',
      'FROM alpine AS a\nWORKDIR /a\nFROM alpine\nWORKDIR b',
    ],
    quiet: [
      'FROM alpine\nWORKDIR /app\nWORKDIR b',
      'FROM alpine AS a\nWORKDIR /a\nFROM a\nWORKDIR b',
      'FROM alpine\nWORKDIR $HOME/x',
      'FROM alpine\nARG D=/app\nWORKDIR $D/x',
      'FROM alpine\nWORKDIR $UNSET/app',
      'FROM alpine\nWORKDIR "/a b"',
    ],
  },
  UndefinedVar: {
    row: 'CK-11',
    fires: [
      'FROM scratch\nARG VERSION=1\nLABEL v=$VERSOIN',
      'FROM known\nENV A=$NOT_THERE',
      'FROM scratch\nLABEL v=${V:-1} w=${W+x}',
      'ARG A=1\nFROM scratch\nCOPY x$A /',
    ],
    quiet: [
      'FROM scratch\nARG V\nLABEL v=$V',
      'FROM known\nENV A=$KNOWN',
      'FROM scratch\nRUN echo $ANY',
      'FROM unknown\nLABEL a=$ANY',
      "FROM scratch\nLABEL a='$V' b=\\$V",
    ],
  },
  MultipleInstructionsDisallowed: {
    row: 'CK-12',
    fires: [
      'FROM scratch\nCMD ["a"]\nCMD ["b"]\nLABEL a=1',
      'FROM scratch\nENTRYPOINT ["a"]\nENTRYPOINT [ \\\n  "b"]\nENTRYPOINT ["c"]\n',
      'FROM scratch\nHEALTHCHECK NONE\n# about it\nHEALTHCHECK CMD x\nHEALTHCHECK CMD ["x"]',
    ],
    quiet: [
      'FROM scratch AS a\nCMD ["a"]\nFROM a\nCMD ["b"]',
      'FROM scratch\nCMD ["a"]\nENTRYPOINT ["b"]\nHEALTHCHECK NONE',
    ],
  },
  LegacyKeyValueFormat: {
    row: 'CK-13',
    fires: [
      'FROM scratch\nENV key value',
      'FROM scratch\nENV key two  words ',
      'FROM scratch\nLABEL key "two words" and \'a $more\'',
      'FROM scratch\nENV key a\\ b c',
      'FROM scratch\nENV a \\\n  b',
      'FROM scratch\nENV a =b $a',
      '# escape=`\nFROM scratch\nENV a c:\\x `$d',
    ],
    quiet: ['FROM scratch\nENV key=value\nLABEL a="b c" d=e'],
  },
  InvalidBaseImagePlatform: {
    row: 'CK-14',
    fires: ['FROM --platform=linux/arm64 known'],
    quiet: ['FROM --platform=linux/amd64 known AS amd64', 'FROM known'],
  },
  RedundantTargetPlatform: {
    row: 'CK-15',
    fires: [
      'FROM --platform=$TARGETPLATFORM scratch',
      'FROM   --platform=${TARGETPLATFORM}   scratch AS a',
      'FROM --platform=$TARGETPLATFORM \\\n  scratch',
      'FROM --platform=${TARGETPLATFORM:-linux/amd64} scratch',
    ],
    quiet: [
      'FROM --platform=$BUILDPLATFORM scratch',
      'FROM --platform=${TARGETPLATFORM}/v8 scratch',
      'FROM --platform=$TARGETOS/$TARGETARCH scratch',
      'FROM scratch',
    ],
  },
  SecretsUsedInArgOrEnv: {
    row: 'CK-16',
    fires: [
      'FROM scratch\nARG NPM_TOKEN',
      'FROM scratch\nENV password=x',
      'FROM scratch\nARG API_KEY=1 OTHER AWS_SECRET_ACCESS',
      'FROM scratch\nENV git_auth=x apikey=y',
    ],
    quiet: [
      'FROM scratch\nARG TOKENS\nENV KEYBOARD=x MONKEY=y',
      'FROM scratch\nENV PUBLIC_KEY=x TOKEN_FILE=y KEY_VERSION=1',
      'FROM scratch\nLABEL password=x',
      'ARG API_KEY\nFROM scratch',
    ],
  },
  InvalidDefaultArgInFrom: {
    row: 'CK-17',
    fires: [
      'ARG TAG\nFROM alpine:$TAG',
      'ARG IMAGE\nFROM $IMAGE',
      'ARG A=UPPER/Case\nFROM $A',
      'FROM alpine:$TARGETVARIANT',
      'ARG A=a B=$A:\nFROM $B',
    ],
    quiet: [
      'ARG TAG=3\nFROM alpine:$TAG',
      'ARG TAG\nFROM alpine:${TAG:-3}',
      'FROM alpine',
      'ARG S=scratch\nFROM $S',
      'FROM alpine:$TARGETARCH',
      'FROM ${IMAGE:?which one}',
    ],
  },
  FromPlatformFlagConstDisallowed: {
    row: 'CK-18',
    fires: [
      'FROM --platform=linux/amd64 scratch',
      'FROM --platform=linux/arm64 scratch AS build',
      'FROM --platform=linux/arm/v7 scratch AS for-v7',
      'FROM --platform=x86_64 scratch AS for-x86_64',
    ],
    quiet: [
      'FROM --platform=$BUILDPLATFORM scratch',
      'FROM --platform=linux/arm64 scratch AS build_arm64',
      'FROM --platform=linux/arm64 scratch AS linux',
      'FROM --platform=linux/x86_64 scratch AS buildamd64',
    ],
  },
  CopyIgnoredFile: {
    row: 'CK-19',
    ignore: '# not for images\n*.log\nsecret\n/build/\n',
    fires: [
      'FROM scratch\nCOPY a.log /',
      'FROM scratch\nADD ok secret/key /x/',
      'FROM scratch\nARG F=b.log\nCOPY ./x.log $F /',
    ],
    quiet: [
      'FROM scratch\nCOPY a.txt dir /x/',
      'FROM scratch\nCOPY . /',
      'FROM scratch AS a\nFROM scratch\nCOPY --from=a a.log /',
      'FROM scratch\nCOPY <<a.log /\nx\na.log',
      'FROM scratch\nADD https://example.com/a.log /',
    ],
  },
  InvalidDefinitionDescription: {
    row: 'CK-20',
    fires: [
      '# check=experimental=all\n\n# wrong\nARG A=1\nFROM scratch',
      '# check=experimental=all\n\n# wrong\n\nARG A=1\nFROM scratch',
      '# check=experimental=InvalidDefinitionDescription\n\nFROM scratch\n# the stage\nFROM scratch AS b',
      '# check=experimental=all\n\n# a\nARG b c\nFROM scratch',
      'ARG z\n# nothing of it\n# check=experimental=all\n# a\nARG b\nFROM scratch',
    ],
    quiet: [
      '# wrong\nARG A=1\nFROM scratch',
      '# check=experimental=all\n\n# A is it\nARG A=1\n# b is that\nFROM scratch AS b',
      '# check=experimental=all\n\n# wrong\n#\nARG A=1\nFROM scratch',
      '# check=experimental=all\n\n# c is the second\nARG b c\n# any\nFROM scratch',
    ],
  },
  ExposeProtoCasing: {
    row: 'CK-21',
    fires: ['FROM scratch\nEXPOSE 80/TCP 81 82/Udp', 'FROM scratch\nARG P=TCP\nEXPOSE 80/$P'],
    quiet: ['FROM scratch\nEXPOSE 80/tcp 81 82/udp 83/sctp', 'FROM scratch\nARG P=tcp\nEXPOSE 80/$P'],
  },
  ExposeInvalidFormat: {
    row: 'CK-22',
    fires: ['FROM scratch\nEXPOSE 8080:80', 'FROM scratch\nEXPOSE 127.0.0.1:8080:80/udp 81'],
    quiet: ['FROM scratch\nEXPOSE 80 8000-8010/tcp', 'FROM scratch\nARG P=80\nEXPOSE ${P:-81}'],
  },
};
