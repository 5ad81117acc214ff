"""Every study, each named once: a new one adds itself to this line."""

from madpipe.kinetics.study import KINETICS
from madpipe.mad.study import MAD
from madpipe.rocking.study import ROCKING
from madpipe.saxs.study import SAXS
from madpipe.stills.study import STILLS

STUDIES = (MAD, ROCKING, STILLS, SAXS, KINETICS)
BY_NAME = {study.name: study for study in STUDIES}
